"""What this process can do at most: the best matrix product and the best copy, for the roofline."""

import json
import time

import numpy as np


def best(run, times=20):
    took = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return min(took)


def products():
    """GFLOP/s of 1024³ in f32, of the better library."""
    a = np.ones((1024, 1024), np.float32)
    found = [best(lambda: a @ a)]
    try:
        import torch

        b = torch.ones(1024, 1024)
        found.append(best(lambda: b @ b))
    except ImportError:
        pass
    return 2 * 1024**3 / min(found) / 1e9


def copies(bytes):
    """GB/s, what is read and written counted once."""
    source, target = np.ones(bytes // 4, np.float32), np.ones(bytes // 4, np.float32)
    return bytes / best(lambda: np.copyto(target, source)) / 1e9


print(json.dumps({"gflops": products(), "copy_gbs": copies(1 << 28), "copy_in_cache_gbs": copies(1 << 18)}))
