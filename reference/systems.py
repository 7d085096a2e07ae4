"""Systems of linear equations, determinants and Cholesky factors, each as one step of a program.

JAX makes a dozen steps of each: a factorisation with pivots, permutations, triangular systems. An author means one,
and its derivative is a line (M. B. Giles, *Collected matrix derivative results for forward and reverse mode
algorithmic differentiation*, Lecture Notes in Computational Science and Engineering 64, Springer 2008):

    X = A⁻¹ B           dX = A⁻¹ (dB - dA X)
    δ = det A           dδ = δ tr(A⁻¹ dA)
    ℓ = log |det A|     dℓ = tr(A⁻¹ dA)
    A = L Lᵀ            dL = L Φ(L⁻¹ dA L⁻ᵀ),   Φ the lower triangle, with half of the diagonal

Matrices may be stacked along leading axes. Each function is called as that of `numpy.linalg`.
"""

from typing import Any

import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, mlir

SOLVE, DET, LOG_ABS_DET, CHOLESKY = (
    Primitive(name) for name in ("solve", "det", "log_abs_det", "cholesky_factor")
)


def solve(a: Any, b: Any) -> Any:
    """X with A X = B, for A (..., n, n) and B (n,) or (..., n, m)."""
    if jnp.ndim(b) == 1:
        return solve(a, b[:, None])[..., 0]
    stacked = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return SOLVE.bind(*(jnp.broadcast_to(one, (*stacked, *one.shape[-2:])) for one in (a, b)))


def inv(a: Any) -> Any:
    """A⁻¹, for A (..., n, n)."""
    return SOLVE.bind(a, jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape))


def det(a: Any) -> Any:
    """The determinant, (...,), of A (..., n, n)."""
    return DET.bind(a)


def slogdet(a: Any) -> tuple[Any, Any]:
    """The sign of the determinant and the logarithm of its size, (...,) each, of A (..., n, n)."""
    return jnp.sign(DET.bind(a)), LOG_ABS_DET.bind(a)


def cholesky(a: Any) -> Any:
    """L with A = L Lᵀ, (..., n, n), where A is symmetric: its lower triangle counts, as in NumPy."""
    lower = jnp.tril(a)
    return CHOLESKY.bind(lower + _turned(jnp.tril(a, -1)))


def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    unit_diagonal: bool,
    conjugate_a: bool = False,
) -> Any:
    """X with op(A) X = B, or X op(A) = B, where a triangle of A counts, as in `jax.lax.linalg`."""
    del conjugate_a  # of real numbers
    kept = (jnp.tril if lower else jnp.triu)(a, (-1 if lower else 1) * unit_diagonal)
    kept = kept + jnp.eye(a.shape[-1]) * unit_diagonal
    kept = _turned(kept) if transpose_a else kept
    return SOLVE.bind(kept, b) if left_side else _turned(SOLVE.bind(_turned(kept), _turned(b)))


def _turned(a: Any) -> Any:
    return jnp.swapaxes(a, -1, -2)


def _trace(a: Any, tangent: Any) -> Any:
    """tr(A⁻¹ dA)."""
    return jnp.trace(SOLVE.bind(a, tangent), axis1=-2, axis2=-1)


def _solve_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a, b), (da, db) = primals, tangents
    x = SOLVE.bind(a, b)
    terms = [] if isinstance(db, ad.Zero) else [SOLVE.bind(a, db)]
    if not isinstance(da, ad.Zero):
        terms.append(SOLVE.bind(a, -da @ x))
    return x, sum(terms[1:], terms[0])


def _solve_transpose(cotangent: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """X is linear in B: ⟨Y, A⁻¹ B⟩ = ⟨A⁻ᵀ Y, B⟩."""
    return None, ad.Zero(b.aval) if isinstance(cotangent, ad.Zero) else SOLVE.bind(_turned(a), cotangent)


def _det_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    found = DET.bind(*primals)
    return found, found * _trace(*primals, *tangents)


def _log_abs_det_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return LOG_ABS_DET.bind(*primals), _trace(*primals, *tangents)


def _cholesky_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (tangent,), factor = tangents, CHOLESKY.bind(*primals)
    inner = SOLVE.bind(factor, _turned(SOLVE.bind(factor, _turned(tangent))))  # L⁻¹ dA L⁻ᵀ
    half = jnp.tril(jnp.ones(inner.shape[-2:])) - jnp.eye(inner.shape[-1]) / 2
    return factor, factor @ (half * inner)


SOLVE.def_abstract_eval(lambda a, b: ShapedArray(b.shape, b.dtype))
DET.def_abstract_eval(lambda a: ShapedArray(a.shape[:-2], a.dtype))
LOG_ABS_DET.def_abstract_eval(lambda a: ShapedArray(a.shape[:-2], a.dtype))
CHOLESKY.def_abstract_eval(lambda a: ShapedArray(a.shape, a.dtype))

ad.primitive_jvps[SOLVE] = _solve_jvp
ad.primitive_transposes[SOLVE] = _solve_transpose
ad.primitive_jvps[DET] = _det_jvp
ad.primitive_jvps[LOG_ABS_DET] = _log_abs_det_jvp
ad.primitive_jvps[CHOLESKY] = _cholesky_jvp

for primitive, function in (
    (SOLVE, jnp.linalg.solve),
    (DET, jnp.linalg.det),
    (LOG_ABS_DET, lambda a: jnp.linalg.slogdet(a)[1]),
    (CHOLESKY, jnp.linalg.cholesky),
):  # for what computes with numbers, or compiles a program, to hold ours against it
    primitive.def_impl(function)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
