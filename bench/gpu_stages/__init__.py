"""What bench/gpu.py measures, stage by stage."""
