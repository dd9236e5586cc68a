"""Tiny random models of the architectures that people bring, with how each is computed.

Two layers, hidden size 64. Where a family has special features (windows, experts, scaled logits), they are
on.
"""

from typing import Any

import transformers

SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
FULL = {**SIZES, "num_key_value_heads": 4}
ONE_KEY = {**SIZES, "num_key_value_heads": 1}
NO_KEYS = {name: size for name, size in SIZES.items() if name != "num_key_value_heads"}
GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}

# Class of the configuration, and its arguments.
PACKED: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen2": ("Qwen2Config", SIZES),
    "Qwen3": ("Qwen3Config", {**SIZES, "head_dim": 16}),
    "Llama": ("LlamaConfig", SIZES),
    "Llama, tied": ("LlamaConfig", {**SIZES, "tie_word_embeddings": True}),
    "Llama with dropout": ("LlamaConfig", {**SIZES, "attention_dropout": 0.3}),
    "Mistral without window": ("MistralConfig", {**SIZES, "sliding_window": None}),
    "Gemma": ("GemmaConfig", {**SIZES, "head_dim": 16}),
    "Phi": ("PhiConfig", {**SIZES, "resid_pdrop": 0.1}),
    "Phi-3 without window": ("Phi3Config", {**SIZES, "sliding_window": None, "pad_token_id": 0}),
    "OLMo": ("OlmoConfig", SIZES),
    "OLMo 2": ("Olmo2Config", SIZES),
    "GPT-2": ("GPT2Config", GPT),
    "GPT-NeoX": ("GPTNeoXConfig", NO_KEYS),
    "GPT-BigCode": ("GPTBigCodeConfig", GPT),
    "OPT": ("OPTConfig", {**NO_KEYS, "ffn_dim": 96, "word_embed_proj_dim": 64}),
    "Seed-OSS": ("SeedOssConfig", {**SIZES, "head_dim": 16}),
    "Starcoder2": ("Starcoder2Config", {**SIZES, "sliding_window": None}),
    "SmolLM3": ("SmolLM3Config", {**SIZES, "pad_token_id": 0}),
    "DeepSeek-V3": (
        "DeepseekV3Config",
        {**FULL, "moe_intermediate_size": 48, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2,
         "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 32, "kv_lora_rank": 32,
         "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "v_head_dim": 24},
    ),
    "DiffLlama": ("DiffLlamaConfig", SIZES),
    "GLM4": ("Glm4Config", {**SIZES, "head_dim": 16, "pad_token_id": 0}),
    "Ernie 4.5": ("Ernie4_5Config", {**SIZES, "head_dim": 16}),
    "EXAONE 4": ("Exaone4Config", {**SIZES, "sliding_window": None, "layer_types": ["full_attention"] * 2}),
    "Apertus": ("ApertusConfig", SIZES),
    "Cohere": ("CohereConfig", {**SIZES, "logit_scale": 0.0625}),
    "Granite": ("GraniteConfig", {**SIZES, "logits_scaling": 4.0}),
    "MiniCPM3": (
        "MiniCPM3Config",
        {**FULL, "q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
         "v_head_dim": 16, "dim_model_base": 16},
    ),
    "NanoChat": ("NanoChatConfig", {**FULL, "final_logit_softcapping": 2.0}),
}  # fmt: skip
PADDED: dict[str, tuple[str, dict[str, Any]]] = {
    "Mistral with window": ("MistralConfig", {**SIZES, "sliding_window": 8}),
    "Ministral": ("MinistralConfig", {**SIZES, "head_dim": 16, "sliding_window": 8}),
    "Gemma 2": (
        "Gemma2Config",
        {**SIZES, "head_dim": 16, "sliding_window": 8, "final_logit_softcapping": 3.0},
    ),
    "Gemma 2 without caps": (
        "Gemma2Config",
        {**SIZES, "head_dim": 16, "sliding_window": 8, "final_logit_softcapping": None,
         "attn_logit_softcapping": None},
    ),
    "Gemma 3": ("Gemma3TextConfig", {**SIZES, "head_dim": 16, "sliding_window": 8}),
    "Phi-3 with window": ("Phi3Config", {**SIZES, "sliding_window": 8, "pad_token_id": 0}),
    "OLMo 3": ("Olmo3Config", {**SIZES, "sliding_window": 8}),
    "Cohere 2": ("Cohere2Config", {**SIZES, "logit_scale": 0.25, "sliding_window": 8}),
    "GPT-Neo": (
        "GPTNeoConfig",
        {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]],
         "window_size": 8, "max_position_embeddings": 256},
    ),
    "GPT-J": ("GPTJConfig", {**GPT, "rotary_dim": 8}),
    "BLOOM": ("BloomConfig", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "MPT": ("MptConfig", {"d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}),
    "Falcon": ("FalconConfig", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "StableLM": ("StableLmConfig", SIZES),
    "Mamba": ("MambaConfig", {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}),
    "Qwen3-Next": (
        "Qwen3NextConfig",
        {**SIZES, **EXPERTS, "head_dim": 16, "shared_expert_intermediate_size": 48,
         "linear_num_value_heads": 2, "linear_num_key_heads": 2,
         "linear_key_head_dim": 16, "linear_value_head_dim": 16,
         "layer_types": ["linear_attention", "full_attention"]},
    ),
    "Qwen3.5": (
        "Qwen3_5TextConfig",
        {**SIZES, "head_dim": 16, "linear_num_value_heads": 2, "linear_num_key_heads": 2,
         "linear_key_head_dim": 16, "linear_value_head_dim": 16,
         "layer_types": ["linear_attention", "full_attention"]},
    ),
    "Falcon-H1": (
        "FalconH1Config",
        {**SIZES, "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8,
         "mamba_n_groups": 1, "lm_head_multiplier": 0.5},
    ),
    "LFM2": ("Lfm2Config", {**SIZES, "layer_types": ["conv", "full_attention"]}),
    "GPT-OSS": (
        "GptOssConfig",
        {**SIZES, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    ),
    "Falcon with ALiBi": (
        "FalconConfig",
        {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    ),
    "Gemma 3 with images": (
        "Gemma3Config",
        {"text_config": {**SIZES, "head_dim": 16, "sliding_window": 8},
         "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
                           "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
         "mm_tokens_per_image": 4},
    ),
    "Qwen3.5 with images": (
        "Qwen3_5Config",
        {"text_config": {**SIZES, "head_dim": 16, "linear_num_value_heads": 2, "linear_num_key_heads": 2,
                         "linear_key_head_dim": 16, "linear_value_head_dim": 16,
                         "layer_types": ["linear_attention", "full_attention"]},
         "vision_config": {"hidden_size": 32, "intermediate_size": 48, "depth": 1, "num_heads": 2,
                           "out_hidden_size": 64}},
    ),
}  # fmt: skip
# Scores may be packed; training is padded, since TRL adds a loss over the experts of all tokens of the batch.
EXPERT_LOSS: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen2-MoE": ("Qwen2MoeConfig", {**SIZES, **EXPERTS, "shared_expert_intermediate_size": 48}),
    "Qwen3-MoE": ("Qwen3MoeConfig", {**SIZES, **EXPERTS, "head_dim": 16}),
    "OLMoE": ("OlmoeConfig", {**SIZES, "num_experts": 4, "num_experts_per_tok": 2}),
    "Mixtral": (
        "MixtralConfig",
        {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    ),
}  # fmt: skip
# Padded; TRL cannot compute their experts' loss, so they train with `router_aux_loss_coef: 0` alone.
WITHOUT_EXPERT_LOSS: dict[str, tuple[str, dict[str, Any]]] = {
    "Doge": ("DogeConfig", SIZES),
    "Granite MoE hybrid": (
        "GraniteMoeHybridConfig",
        {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2, "mamba_n_heads": 8, "mamba_d_state": 8,
         "mamba_d_head": 16, "layer_types": ["mamba", "attention"]},
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "RecurrentGemma": (
        "RecurrentGemmaConfig",
        {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
         "lru_width": 64, "attention_window_size": 8, "logits_soft_cap": 1.0},
    ),
    "xLSTM": (
        "xLSTMConfig",
        {"hidden_size": 64, "num_hidden_layers": 2, "num_blocks": 2, "num_heads": 4,
         "output_logit_soft_cap": 1.0, "mode": "train"},
    ),
    "Doge beyond its window": ("DogeConfig", {**SIZES, "keep_window_size": 4}),
    "Llama 4": (
        "Llama4TextConfig",
        {**SIZES, "head_dim": 16, "num_local_experts": 2, "intermediate_size_mlp": 96},
    ),
}  # fmt: skip
FAMILIES = PACKED | PADDED | EXPERT_LOSS | WITHOUT_EXPERT_LOSS | REFUSED


def config_of(family: str, vocabulary: int) -> Any:
    """Return the configuration of a family of `FAMILIES`, with weights spread enough that answers differ."""
    name, arguments = FAMILIES[family]
    if "text_config" in arguments:
        text = arguments["text_config"] | {"vocab_size": vocabulary}
        config = getattr(transformers, name)(**arguments | {"text_config": text})
    else:
        config = getattr(transformers, name)(vocab_size=vocabulary, **arguments)
    for spread in ("initializer_range", "init_std"):
        for part in (config, config.get_text_config()):
            if hasattr(part, spread):
                setattr(part, spread, 0.1)
    return config
