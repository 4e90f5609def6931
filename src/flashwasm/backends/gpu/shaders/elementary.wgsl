// Elementary functions with a known error on every device, because WGSL's bounds for its own exp and tanh are loose.
// The formulas and the polynomials are the same as in wasm/shared/vector_math.h.

const LOWEST: f32 = -3.4028234e38;

// NaN is detected by its bits, because a compiler may assume that x != x is false.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_minus_infinity(x: f32) -> bool {
    return bitcast<u32>(x) == 0xff800000u;
}

// e^x for x <= 0. It is exactly 1 at 0, zero if it would be subnormal, and NaN for NaN.
//
// x log2 e = whole + f with |f| <= 1/2. log2 e is split into a float and a second float for the remainder.
fn exp_nonpositive(x: f32) -> f32 {
    let bounded = max(x, -87.3);
    let whole = round(bounded * 0x1.715476p+0f);
    var f = bounded * 0x1.715476p+0f - whole;
    f = bounded * 0x1.4ae0cp-26f + f;
    var p = 0x1.41fbbcp-13f;
    p = p * f + 0x1.5f3e54p-10f;
    p = p * f + 0x1.3b2d4cp-7f;
    p = p * f + 0x1.c6aee8p-5f;
    p = p * f + 0x1.ebfbdcp-3f;
    p = p * f + 0x1.62e43p-1f;
    p = p * f + 1.0;
    let power = bitcast<f32>(u32(i32(whole) + 127) << 23u);
    let result = select(p * power, 0.0, x < -87.3);
    return select(result, x, is_nan(x));
}

// (1 - e^(-2|x|)) / (1 + e^(-2|x|)) with the sign of x. Near zero the subtraction would cancel, so an odd polynomial
// is used there.
fn tanh_of(x: f32) -> f32 {
    let a = abs(x);
    let e = exp_nonpositive(-2.0 * a);
    let far = (1.0 - e) / (1.0 + e);
    let square = a * a;
    var p = -0x1.75e1c4p-8f;
    p = p * square + 0x1.52269ap-6f;
    p = p * square - 0x1.b83c5ap-5f;
    p = p * square + 0x1.110726p-3f;
    p = p * square - 0x1.555532p-2f;
    let near = p * square * a + a;
    let magnitude = select(far, near, a < 0.625);
    return select(magnitude, -magnitude, x < 0.0);
}
