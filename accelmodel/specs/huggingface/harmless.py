"""Keys of a ``config.json`` that change no size, no kind of layer and no traffic.

Only those need to stand here whose name speaks of layers, attention and the like; the rest of the list is for files
of families that are not known, where every key must be understood.
"""

from __future__ import annotations

from typing import Any

#: keys of training, of generation, of numerics and of positions
HARMLESS = frozenset(
    """
    architectures auto_map model_type transformers_version torch_dtype dtype name_or_path task_specific_params
    problem_type tokenizer_class finetuning_task id2label label2id use_cache return_dict return_dict_in_generate
    bos_token_id eos_token_id pad_token_id sep_token_id eod_token_id unk_token_id mask_token_id cls_token_id
    decoder_start_token_id forced_bos_token_id forced_eos_token_id suppress_tokens begin_suppress_tokens
    bad_words_ids prefix temperature top_k top_p typical_p repetition_penalty length_penalty diversity_penalty
    num_beams num_beam_groups num_return_sequences do_sample early_stopping max_length min_length max_new_tokens
    no_repeat_ngram_size encoder_no_repeat_ngram_size exponential_decay_length_penalty remove_invalid_values
    output_scores output_attentions output_hidden_states output_router_logits is_decoder tie_encoder_decoder
    torchscript tf_legacy_loss use_bfloat16 bf16 fp16 fp32 pruned_heads chunk_size_feed_forward
    cross_attention_hidden_size ignore_index keys_to_ignore_at_inference unsloth_fixed unsloth_version
    initializer_range initializer_factor init_std init_device init_config init_method_std rescale_prenorm_residual
    w_init_variance_scale final_w_init_variance_scale embedding_init_std
    attention_dropout attn_dropout attn_pdrop attention_dropout_prob attention_probs_dropout_prob hidden_dropout
    hidden_dropout_prob hidden_dropout_rate dropout dropout_rate embd_pdrop emb_pdrop embd_dropout embedding_dropout
    resid_pdrop resid_dropout residual_dropout ffn_dropout_rate activation_dropout classifier_dropout layerdrop
    token_dropout path_dropout mlp_dropout ffdropout embd_dropout_prob
    router_aux_loss_coef router_z_loss_coef router_jitter_noise input_jitter_noise router_jitter aux_loss_alpha
    seq_aux moe_loss_weight moe_jitter_eps moe_normalize_expert_weights router_aux_loss router_dtype moe_router_dtype
    expert_capacity_factor moe_aux_loss_coeff router_loss_weight z_loss_coefficient mtp_loss_scaling_factor
    norm_topk_prob moe_renormalize norm_expert_weight routed_scaling_factor moe_router_scaling_factor
    router_scaling_factor moe_routed_scaling_factor scoring_func score_function moe_router_activation_func n_group
    topk_group num_expert_group use_grouped_topk topk_method ep_size enable_moe_fp32_combine enable_lm_head_fp32
    moe_norm_min moe_gate_act use_moe_router_scaling norm_after_router need_fp32_gate moe_router_topk_scaling_factor
    moe_router_num_groups moe_router_group_topk router_n_groups moe_group_topk moe_use_aux_free_bias
    moe_layer_auto_drop_tokens multimodal_max_length moe_multimodal_dispatch_use_allgather
    moe_shared_expert_overlap moe_capacity moe_use_hard_gate group_max_len moe_random_routing_dropped_token
    moe_drop_tokens capacity_factor num_expert_groups moe_router_load_balancing_type
    moe_router_pre_softmax use_grouped_gemm fast_moe_kernel moe_impl grouped_moe ep_dispatch
    rms_norm_eps norm_eps layer_norm_eps layer_norm_epsilon layernorm_epsilon norm_epsilon mixer_rms_eps rms_eps
    layernorm_eps norm_type layer_norm_elementwise_affine
    rope_theta rope_scaling rope_parameters rope_type rope_ratio rope_local_base_freq swa_rope_theta rotary_pct
    rotary_emb_base rotary_dim rotary_percent rotary_base partial_rotary_factor partial_rotary_factors
    rope_interleave indexer_rope_interleave rope_interleaved original_max_position_embeddings
    original_rope no_rope_layers no_rope_layer_interval use_rope nope_layer_interval rope_pct rope_traditional
    rope_is_neox_style original_context_length initial_context_length max_window_context
    global_rope_theta local_rope_theta rope_base compress_rope_theta mrope_section mrope_interleaved use_mrope
    attn_temperature_tuning attn_temperature_len attn_scale floor_scale attn_scale_factor log_scaling
    kv_cache_dtype use_dynamic_ntk use_logn_attn logn_list rotary_emb_fraction rope_group_size
    query_pre_attn_scalar attn_logit_softcapping final_logit_softcapping attn_logit_softcap final_logit_softcap
    attention_multiplier residual_multiplier embedding_multiplier logits_scaling logit_scale attention_value_scale
    attn_output_multiplier output_multiplier_scale embedding_multiplier_scale max_attn_value logits_soft_cap
    key_multiplier attention_in_multiplier attention_out_multiplier ssm_in_multiplier ssm_out_multiplier
    ssm_multipliers mlp_multipliers lm_head_multiplier scale_emb scale_depth dim_model_base mup_base_width
    mup_use_scaling mup_attn_multiplier mup_embedding_multiplier mup_width_multiplier width_multiplier
    scale_attn_weights scale_attn_by_inverse_layer_idx reorder_and_upcast_attn scale_attention_softmax_in_fp32
    attention_softmax_in_fp32 full_attn_alpha_factor full_attn_beta_factor linear_attn_alpha_factor
    linear_attn_beta_factor mlp_alpha_factor mlp_beta_factor layernorm_full_attention_alpha
    layernorm_full_attention_beta layernorm_linear_attention_alpha layernorm_linear_attention_beta
    layernorm_mlp_alpha layernorm_mlp_beta postnorm clip_qkv softmax_scale attn_uses_sequence_id
    attention_softmax_fp32 apply_query_key_layer_scaling fp32_residual_connection residual_in_fp32
    mamba_ssm_dtype mamba_ssm_cache_dtype use_mamba_kernels use_mambapy use_associative_scan use_falcon_mambapy
    time_step_min time_step_max time_step_limit time_step_floor time_step_scale time_step_init_scheme
    mamba_dt_min mamba_dt_max mamba_dt_limit mamba_dt_init_floor chunk_size mamba_chunk_size mamba_hidden_act
    mamba_norm_before_gate num_logits_to_keep time_step_rank_init gate_lower_bound kda_lower_bound kda_safe_gate
    swiglu_limit swiglu_alpha swiglu_limits swiglu_limits_shared activation_sparsity_pattern altup_active_idx
    altup_coef_clip altup_correct_scale activation_situ_beta activation_situ_linear_beta gegelu_limit
    gegelu_pad_to_256 activation_clamp
    attn_implementation attn_impl pretraining_tp use_flash_attn use_flash_attention use_flash_attention_2
    sequence_parallel use_parallel_embedding recompute gradient_checkpointing fuse_norm fuse_swiglu fuse_cross_entropy
    fuse_linear attention_type_ids slow_but_exact use_fused_rms_norm use_flash_norm masked_softmax_fusion
    bias_dropout_fusion use_triton_kernels blocksparse_triton_kernel_block_size use_recompute
    apply_residual_connection_post_layernorm multi_query_attention_impl disable_exllama
    num_nextn_predict_layers num_mtp_layers num_mtp_modules mtp_transformer_layers mtp_num_hidden_layers
    mtp_use_dedicated_embeddings mtp_layers_block_type mtp_hybrid_override_pattern use_mtp index_share_for_mtp_iteration
    mtp_layer_types mtp_mlp_layer_types num_mtp_heads
    quantization_config compression_config language_model_only use_bidirectional_attention output_gate_type
    vision_feature_layer vision_feature_select_strategy vision_soft_tokens_per_image image_seq_length
    video_seq_length mm_tokens_per_image projector_hidden_act projector_hidden_size multimodal_projector_bias
    image_token_index video_token_index audio_token_index boi_token_index eoi_token_index eoa_token_index
    image_token_id video_token_id audio_token_id vision_start_token_id vision_end_token_id
    image_grid_pinpoints spatial_merge_size projector_ln_eps freeze_mm_mlp_adapter mm_hidden_size
    mm_projector_type mm_vision_select_layer mm_vision_select_feature tune_mm_mlp_adapter select_layer
    downsample_ratio dynamic_image_size img_token_compression_config num_reward_heads
    summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout
    tokenizer_mode use_unified_vision_chunk router_bias_update_rate pad_to_multiple_of
    """.split()
)
#: key → the value that its absence means too
NEUTRAL: dict[str, Any] = {
    "cla_share_factor": 1,
    "moe_layer_freq": 1,
    "expert_layer_period": 1,
    "block_ffn_dim_multiplier": 1.0,
    "attn_type_list": 1,
    "attention_type": "full",
    "layer_group_size": 1,
    "mlp_only_layers": [],
    "index_skip_topk_offset": 0,
}
