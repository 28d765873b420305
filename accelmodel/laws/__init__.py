"""Physics as scalar functions of numbers, compiled; kernels over them.  Knows no spec, no file, no label."""
