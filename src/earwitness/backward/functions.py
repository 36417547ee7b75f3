"""Classes of torch functions by name: elementwise, shaping, linear, multilinear."""

from __future__ import annotations

# functions of one number, applied to every element
_ELEMENTWISE = """
relu relu6 hardtanh leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign
log_sigmoid logsigmoid sigmoid tanh hardsigmoid hardswish tanhshrink threshold log log10 log2 log1p
exp exp2 expm1 sqrt rsqrt abs square pow __pow__ __rpow__ clamp clamp_min clamp_max clip reciprocal
__rtruediv__ __rdiv__ sin cos atan erf sinh cosh asinh sign sgn round floor ceil trunc fix frac
hardshrink softshrink logit erfc nan_to_num rad2deg deg2rad arctan arcsinh absolute
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
fill copy __setitem__
"""
# affine in each tensor argument with the others held constant
_MULTILINEAR = """
mul multiply __mul__ __rmul__ __imul__ matmul __matmul__ __rmatmul__ mm bmm mv dot inner outer
einsum tensordot linear bilinear addmm baddbmm addbmm addmv conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d kron vdot
"""

# functions of several tensors, applied to every element of one if the others are constant
_CELLWISE = """
eq ne lt le gt ge less less_equal greater greater_equal not_equal __eq__ __ne__ __lt__ __le__ __gt__
__ge__ logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not __and__
__or__ __xor__ __invert__ __iand__ __ior__ __rand__ __ror__ isnan isinf isfinite signbit bool int
long float double half bfloat16 to type type_as detach clone contiguous where masked_fill
__setitem__ maximum minimum fmax fmin add sub subtract rsub __add__ __radd__ __iadd__ __sub__
__rsub__ __isub__ neg __neg__ mul multiply __mul__ __rmul__ __imul__ div divide true_divide
__truediv__ __itruediv__ heaviside copysign clamp clip
"""
# functions whose result depends on the shape of their argument only
_BLANK = """
zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_zeros new_ones
new_full new_empty new_tensor bernoulli size numel dim
"""

ELEMENTWISE = frozenset(_ELEMENTWISE.split())
SHAPING = frozenset(_SHAPING.split())
JOINTLY_LINEAR = SHAPING | frozenset(_JOINTLY_LINEAR.split())
MULTILINEAR = frozenset(_MULTILINEAR.split())
CELLWISE = frozenset(_CELLWISE.split())
BLANK = frozenset(_BLANK.split())
DIVISIONS = frozenset(
    ["div", "divide", "true_divide", "__truediv__", "__itruediv__", "__div__", "__idiv__"]
)
