"""DeepSpeed's states of an arm in float16 are read, too: their loss scale moves while it trains."""

from pathlib import Path

import torch
from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler

from training.safe_loading import nothing_unpickled


def test_a_moving_loss_scale_is_read(tmp_path: Path) -> None:
    scaler = DynamicLossScaler(
        init_scale=2.0**16, scale_window=1000, min_scale=1, delayed_shift=2, consecutive_hysteresis=False
    )
    scaler.cur_scale /= 2
    torch.save({"loss_scaler": scaler, "overflow": True}, tmp_path / "states.pt")
    with nothing_unpickled():
        states = torch.load(tmp_path / "states.pt", weights_only=False)
    assert states["loss_scaler"].cur_scale == scaler.cur_scale
