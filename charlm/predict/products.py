"""Products of a few vectors with a matrix, in NumPy.

BLAS lays a matrix out anew before it multiplies, which pays for many vectors. OpenBLAS has kernels
that do not, for products of up to SMALL multiplications where the processor has AVX-512; a matrix
is cut so that a few vectors come to those, and are multiplied up to three times as fast.
Legend: S vectors, n and m sides of a matrix.
"""

import numpy as np

SMALL = 1_000_000  # multiplications of a small product
ONE_BY_ONE = 4  # vectors, where the matrix lies with its sides the other way round
FEW = 8  # vectors up to which that pays


def times(vectors: np.ndarray, matrix: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Give vectors (S, n) times a matrix (n, m), (S, m)."""
    columns = _width(len(vectors), *matrix.shape)
    if columns >= matrix.shape[1]:
        return np.asarray(np.matmul(vectors, matrix, out=out))
    if out is None:
        out = np.empty((len(vectors), matrix.shape[1]), dtype=vectors.dtype)
    for start in range(0, matrix.shape[1], columns):
        part = slice(start, start + columns)
        np.matmul(vectors, matrix[:, part], out=out[:, part])
    return out


def likeness(keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Give the products of keys (m, n) and queries (S, n), (S, m)."""
    if len(queries) <= ONE_BY_ONE:
        return np.asarray(np.matmul(keys, queries[:, :, None])[:, :, 0])
    return np.ascontiguousarray((keys @ queries.T).T)


def _width(vectors: int, length: int, whole: int) -> int:
    """Tell how much of a matrix is to be multiplied at a time."""
    if not 1 < vectors <= FEW or not length:
        return max(whole, 1)
    return max(SMALL // (vectors * length), 16)
