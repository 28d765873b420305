"""What a study asks: its axes, rules, mix, objectives, and the chips of its space."""
