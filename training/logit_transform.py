"""Cap and scale logits after the head, for the architectures that do, as TRL's fused head does."""

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor


@dataclass(frozen=True)
class LogitTransform:
    """logits -> cap * tanh(scale * logits / cap); without a cap, scale * logits.

    The names in the configuration, and their order, are those of `trl.trainer.utils.add_fused_lm_head`. An
    architecture that transforms its logits under any other name disagrees with its own `model(...).logits`,
    which `training/layout_check.py` finds out.
    """

    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: Any) -> Self:
        """Return the transform that a model's configuration asks for."""
        text = config.get_text_config()
        cap = getattr(text, "final_logit_softcapping", None)
        for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
            scale = getattr(text, name, None)
            if scale is not None:
                return cls(scale, cap)
        divisor = getattr(text, "logits_scaling", None)
        if divisor is None:
            return cls(1.0, cap)
        return cls(divisor if text.model_type == "hyperclovax" else 1 / divisor, cap)

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the transformed logits, of the same shape."""
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.cap is not None:
            logits = self.cap * (logits / self.cap).tanh()
        return logits
