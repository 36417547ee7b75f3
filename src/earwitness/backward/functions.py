"""Classes of torch functions by name: elementwise, shaping, linear, multilinear."""

from __future__ import annotations

# functions of one number, applied to every element
_ELEMENTWISE = """
relu relu6 hardtanh leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign
log_sigmoid logsigmoid sigmoid tanh hardsigmoid hardswish tanhshrink threshold log log10 log2 log1p
exp exp2 expm1 sqrt rsqrt abs square pow __pow__ __rpow__ clamp clamp_min clamp_max clip reciprocal
__rtruediv__ __rdiv__ sin cos atan erf sinh cosh asinh sign round floor
"""
# functions that only rearrange elements
_SHAPING = """
view view_as reshape flatten unflatten ravel transpose t permute movedim moveaxis swapaxes swapdims
squeeze unsqueeze expand expand_as repeat repeat_interleave tile split chunk unbind tensor_split
__getitem__ select narrow index_select gather take_along_dim flip roll pad contiguous clone to float
double half bfloat16 type type_as cpu cuda unfold diagonal broadcast_to dropout dropout1d dropout2d
dropout3d alpha_dropout feature_alpha_dropout identity __get__ as_strided masked_select view_as_real
view_as_complex real imag conj resolve_conj pixel_shuffle
"""
# affine in all tensor arguments jointly
_JOINTLY_LINEAR = """
add sub subtract rsub neg negative __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __neg__
__pos__ sum nansum mean cumsum cat concat stack hstack vstack avg_pool1d avg_pool2d avg_pool3d
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample stft istft fft ifft
rfft irfft rfft2 irfft2 fft2 ifft2 fftn ifftn diff fold scatter index_add masked_fill where zero
fill copy
"""
# affine in each tensor argument with the others held constant
_MULTILINEAR = """
mul multiply __mul__ __rmul__ __imul__ matmul __matmul__ __rmatmul__ mm bmm mv dot inner outer
einsum tensordot linear bilinear addmm baddbmm addbmm addmv conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d kron vdot
"""

ELEMENTWISE = frozenset(_ELEMENTWISE.split())
SHAPING = frozenset(_SHAPING.split())
JOINTLY_LINEAR = SHAPING | frozenset(_JOINTLY_LINEAR.split())
MULTILINEAR = frozenset(_MULTILINEAR.split())
DIVISIONS = frozenset(
    ["div", "divide", "true_divide", "__truediv__", "__itruediv__", "__div__", "__idiv__"]
)
