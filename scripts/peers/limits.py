"""What this process can do at most: the best matrix product and the best copy, for the roofline."""

import json
import time

import numpy as np

PAGE = 4096


def best(run, repeats=1, times=20):
    """Seconds of one run, in the fastest of some rounds of so many."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        took.append(time.perf_counter() - start)
    return min(took) / repeats


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


def at_page(bytes):
    """Memory from the start of a page on."""
    memory = np.ones((bytes + PAGE) // 4, np.float32)
    skip = -memory.ctypes.data % PAGE // 4
    return memory[skip : skip + bytes // 4]


def copies(bytes):
    """GB/s, what is read and written counted once."""
    # `rep movsb`, with which libc copies, is ten times slower on some processors where the target lies in its page
    # a few bytes behind the source, as it may when the allocator places them.
    source, target = at_page(bytes), at_page(bytes)
    return bytes / best(lambda: np.copyto(target, source), max(1, (1 << 26) // bytes)) / 1e9


print(json.dumps({"gflops": products(), "copy_gbs": copies(1 << 28), "copy_in_cache_gbs": copies(1 << 18)}))
