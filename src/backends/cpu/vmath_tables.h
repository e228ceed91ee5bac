// exp, log, tanh and the tail of the normal distribution where a register holds a table: powers,
// inverses, or the coefficients of piecewise polynomials, looked up by permutation. AVX-512 only;
// vmath.h has what the other instruction sets do.
//
// The coefficients are minimax fits on each piece, rounded to float.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/vmath_basic.h"

namespace tf::cpu::TF_ISA {
namespace {

// table[i], i in the low four bits of each lane's pattern.
TF_INLINE F32 lookup(F32 i, const float (&table)[16]) {
  return F32((F32::Raw)_mm512_maskz_permutexvar_ps(-1, (__m512i)i.v, (__m512)load(table).v));
}

// The same of a table of two registers, i in the low five bits.
TF_INLINE F32 lookup(F32 i, const float (&table)[32]) {
  return F32((F32::Raw)_mm512_maskz_permutex2var_ps(-1, (__m512)load(table).v, (__m512i)i.v,
                                                    (__m512)load(table + 16).v));
}

// c(0) + c(1) d + … + c(5) d⁵.
template <class Coefficient>
TF_INLINE F32 quintic(F32 d, const Coefficient& c) {
  F32 y = c(Index<5>{});
  unroll<5>([&](auto i) TF_ALWAYS_INLINE { y = fma(y, d, c(Index<4 - i>{})); });
  return y;
}

// p * 2^floor(n), denormal or infinite where it has to be.
TF_INLINE F32 times_power(F32 p, F32 n) {
  return F32((F32::Raw)_mm512_maskz_scalef_ps(-1, (__m512)p.v, (__m512)n.v));
}

// exp(x) = 2^floor(n) 2^(j/16) exp(r) with x log2(e) rounded to n, a whole number of sixteenths.
// |r| <= log(2)/32, a cubic is enough. kFine: what rounding took from the powers is added back,
// 0.75 ulp instead of 1.
template <bool kFine>
TF_INLINE F32 exp_by_table(F32 x) {
  alignas(64) static constexpr float kPowers[16] = {
      1.0f,       1.0442737f, 1.0905077f, 1.1387886f, 1.1892071f, 1.2418578f,
      1.2968396f, 1.3542556f, 1.4142135f, 1.4768262f, 1.5422108f, 1.6104903f,
      1.6817929f, 1.7562522f, 1.8340081f, 1.9152066f};
  alignas(64) static constexpr float kRests[16] = {
      0.0f,            4.8334702e-08f,  -1.307754e-08f,  5.3862223e-08f,
      3.7976353e-08f,  4.4968381e-08f,  -4.0189995e-08f, -1.0123349e-08f,
      2.4203235e-08f,  -4.5008989e-08f, 8.0709048e-09f,  9.8362172e-09f,
      -2.4755327e-08f, -9.2357704e-09f, -1.1239278e-08f, 9.8453281e-09f};
  x = max(F32(-104.f), min(F32(89.f), x));  // NaN stays
  constexpr float kSixteenths = 786432.f;   // 1.5 * 2^19: the last bit is 1/16
  const F32 shifted = fma(x, F32(1.44269504f), F32(kSixteenths)), n = shifted - F32(kSixteenths);
  F32 r = fma(n, F32(-0.693359375f), x);
  r = fma(n, F32(2.12194440e-4f), r);
  const F32 p = fma(fma(F32(0.16667031f), r, F32(0.50001619f)), r * r, r);
  const F32 power = lookup(shifted, kPowers);
  if constexpr (kFine) return times_power(power + fma(power, p, lookup(shifted, kRests)), n);
  return times_power(fma(power, p, power), n);
}
TF_INLINE F32 exp(F32 x) { return exp_by_table<false>(x); }
TF_INLINE F32 exp_fine(F32 x) { return exp_by_table<true>(x); }

// log(x + more 2^e / inverse), x = 2^e m, 1 <= m < 2: m times about its inverse from a table is 1 + r,
// -1/32 <= r < 1/16. e log(2) and the logarithms of the table have 16 bits and the rest, so that
// nothing is lost where they cancel. (log(1 + r) - r + r²/2) / r³ is the polynomial.
// The instructions give what log wants of 0, infinity, NaN and what is below 0.
struct LogPartsF {
  F32 e, m, inverse, j;
};
TF_INLINE LogPartsF log_parts(F32 x) {
  alignas(64) static constexpr float kInverse[16] = {
      1.0f, 0.9140625f, 0.8652344f, 0.8203125f, 0.78125f, 0.7441406f, 0.7109375f, 0.6816406f,
      0.65234375f, 0.6269531f, 0.6035156f, 0.58203125f, 0.5605469f, 0.54296875f, 0.5253906f,
      0.5f};
  const F32 e = F32((F32::Raw)_mm512_maskz_getexp_ps(-1, (__m512)x.v));
  const F32 m = F32((F32::Raw)_mm512_maskz_getmant_ps(-1, (__m512)x.v, _MM_MANT_NORM_1_2,
                                                      _MM_MANT_SIGN_nan));
  const F32 j = bit_cast<float>(bit_cast<int32_t>(m) >> 19);
  return {e, m, lookup(j, kInverse), j};
}
template <bool kMore = false>
TF_INLINE F32 log_of(const LogPartsF& x, F32 more = {}) {
  alignas(64) static constexpr float kLogs[16] = {
      0.0f, 0.08985901f, 0.14476013f, 0.19807434f, 0.24685669f, 0.29553223f, 0.34117126f,
      0.383255f, 0.42718506f, 0.46688843f, 0.5049896f, 0.54122925f, 0.57884216f, 0.6107025f,
      0.6436157f, 0.69314575f};
  alignas(64) static constexpr float kLogRests[16] = {
      0.0f, -2.6796672e-06f, -5.2768414e-06f, -4.4270582e-06f, 3.3884785e-06f, -6.9766497e-06f,
      -5.0724566e-07f, -2.3020457e-06f, -1.426531e-06f, -4.9258247e-06f, -6.275882e-06f,
      1.8904873e-06f, 2.4619396e-07f, 9.967005e-07f, -2.4772187e-06f, 1.4286068e-06f};
  constexpr float c[] = {-0.5f, 0.33334448f, -0.25007845f, 0.1886981f};
  const F32 r = fma(x.m, x.inverse, F32(-1.f));
  const F32 high = fma(x.e, F32(0.6931457519f), lookup(x.j, kLogs));
  F32 low = fma(x.e, F32(1.4286068e-6f), lookup(x.j, kLogRests));
  if constexpr (kMore) low += fma(-more, r, more);  // times 1 / (1 + r)
  return (high + r) + fma(polynomial(r, c), r * r, low);
}
TF_INLINE F32 log(F32 x) { return log_of(log_parts(x)); }

// What 1 + x loses is added back, to first order.
TF_INLINE F32 log1p(F32 x) {
  const F32 u = F32(1.f) + x;
  const F32 lost = select(x < F32(1.f), x - (u - F32(1.f)), F32(1.f) - (u - x));
  const LogPartsF parts = log_parts(u);
  const F32 more = times_power(lost, -parts.e) * parts.inverse;
  const F32 y = log_of<true>(parts, select(abs(parts.e) < F32(kInfinityF), more, F32(0.f)));
  return select(x == F32(0.f), x, y);  // -0
}

// Four pieces per octave from 2^-4 on and one below: centre, then the coefficients of
// tanh(centre + d). A piece's row is the exponent and two bits of the mantissa, modulo 32.
alignas(64) constexpr float kTanh[7][32] = {
    {2.25f, 2.75f, 3.25f, 3.75f, 4.5f, 5.5f, 6.5f, 7.5f, 8.55000019f, 9.0f, 9.0f, 9.0f, 0.0f,
     0.0859375f, 0.1015625f, 0.1171875f, 0.140625f, 0.171875f, 0.203125f, 0.234375f, 0.28125f,
     0.34375f, 0.40625f, 0.46875f, 0.5625f, 0.6875f, 0.8125f, 0.9375f, 1.125f, 1.375f, 1.625f,
     1.875f},
    {0.978026092f, 0.991859734f, 0.996997654f, 0.998894453f, 0.999753177f, 0.999966621f,
     0.99999547f, 0.999999404f, 0.99999994f, 1.0f, 1.0f, 1.0f, 0.0f, 0.0857265666f, 0.101214729f,
     0.116653986f, 0.1397053f, 0.170202315f, 0.200376719f, 0.230175704f, 0.27406159f,
     0.330821127f, 0.385283977f, 0.437188774f, 0.509829998f, 0.596373558f, 0.670967102f,
     0.734071493f, 0.809301078f, 0.879826725f, 0.925346255f, 0.954045236f},
    {0.043464914f, 0.0162142925f, 0.00599571783f, 0.00220989343f, 0.000493536005f,
     6.68071298e-05f, 9.04162334e-06f, 1.22365543e-06f, 1.49849001e-07f, 0.0f, 0.0f, 0.0f, 1.0f,
     0.992650926f, 0.989755571f, 0.986391842f, 0.980482399f, 0.971031189f, 0.959849179f,
     0.94701916f, 0.92489022f, 0.890557408f, 0.851556242f, 0.808865964f, 0.740073383f,
     0.644338608f, 0.549803197f, 0.461138994f, 0.345031768f, 0.225904971f, 0.143734366f,
     0.0897976384f},
    {-0.0425082408f, -0.0160811003f, -0.00597717939f, -0.00220723939f, -0.000492609572f,
     -6.66951673e-05f, -9.02671763e-06f, -1.22164261e-06f, -1.49484379e-07f, 0.0f, 0.0f, 0.0f,
     0.0f, -0.0850965604f, -0.100177847f, -0.115066543f, -0.136978596f, -0.165271744f,
     -0.192331418f, -0.217980802f, -0.253476858f, -0.294615149f, -0.328090936f, -0.353627086f,
     -0.377311289f, -0.384266406f, -0.368899882f, -0.338509142f, -0.279237121f, -0.198758736f,
     -0.133004621f, -0.0856711045f},
    {0.02708783f, 0.0105461106f, 0.00396090234f, 0.00146825553f, 0.000328297901f, 4.44673969e-05f,
     6.0186876e-06f, 8.14553232e-07f, 9.96789282e-08f, 0.0f, 0.0f, 0.0f, -0.333333343f,
     -0.32358861f, -0.319779068f, -0.315374315f, -0.307690859f, -0.295547426f, -0.281410992f,
     -0.265499175f, -0.238828599f, -0.199387655f, -0.157444f, -0.115020268f, -0.0543274432f,
     0.0143862478f, 0.0642516762f, 0.0947768092f, 0.110976212f, 0.0995720699f, 0.0751642808f,
     0.0518018305f},
    {-0.0123903118f, -0.00515112886f, -0.00197949936f, -0.000739873154f, -0.000172551066f,
     -2.3398492e-05f, -3.16748924e-06f, -4.28688566e-07f, -5.30448325e-08f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0561029501f, 0.0657551438f, 0.075141646f, 0.0886279196f, 0.105372868f, 0.120475747f,
     0.133746982f, 0.149840921f, 0.164061517f, 0.169927284f, 0.168078676f, 0.153249547f,
     0.119441099f, 0.0798982009f, 0.0433629788f, 0.00370061747f, -0.0210951548f, -0.0251212381f,
     -0.0208489299f},
    {0.00397614809f, 0.00191674428f, 0.00077151088f, 0.000293064193f, 6.87044158e-05f,
     9.33458705e-06f, 1.26396742e-06f, 1.71071619e-07f, 2.11578666e-08f, 0.0f, 0.0f, 0.0f,
     0.130666673f, 0.125041664f, 0.122000612f, 0.118219227f, 0.111990377f, 0.102179259f,
     0.0910126492f, 0.0787781626f, 0.0591725037f, 0.0320506878f, 0.00600437634f, -0.0171013828f,
     -0.0433412902f, -0.0615180582f, -0.0626643822f, -0.0530744754f, -0.0321104564f,
     -0.00955474935f, 0.00137856987f, 0.00459587527f},
};

// From 9.02 on tanh is 1.
TF_INLINE F32 tanh(F32 x) {
  const F32 t = min(F32(9.1f), abs(x));  // NaN stays
  const F32 piece = bit_cast<float>(bit_cast<int32_t>(max(t, F32(0.0625f))) >> 21);
  const F32 d = t - lookup(piece, kTanh[0]);
  return with_sign_of(quintic(d, [&](auto i) TF_ALWAYS_INLINE {
    return lookup(piece, kTanh[i + 1]);
  }), x);
}

// 1 - Φ(t) of the normal distribution in pieces of 3/16, by the distance from their centres, to 6e-7
// of its value. The last piece, from 5.72 on, is 0: there t (1 - Φ(t)) is below 4e-8.
alignas(64) constexpr float kTail[6][32] = {
    {0.5f, 0.425634325f, 0.353830248f, 0.286887705f, 0.22662735f, 0.174250707f, 0.130294517f,
     0.0946757421f, 0.066807203f, 0.0457536243f, 0.0303963609f, 0.0195800792f, 0.0122244731f,
     0.00739460718f, 0.00433244836f, 0.00245790114f, 0.00134989806f, 0.000717542309f,
     0.000369078451f, 0.000183669952f, 8.84172914e-05f, 4.11674664e-05f, 1.85367389e-05f,
     8.07094511e-06f, 3.39767348e-06f, 1.38281371e-06f, 5.44042393e-07f, 2.06897099e-07f,
     7.60496306e-08f, 2.70166876e-08f, 9.27540444e-09f, 0.0f},
    {-0.398942292f, -0.3919909f, -0.37185508f, -0.340567589f, -0.301137418f, -0.257073909f,
     -0.211876646f, -0.168593183f, -0.1295176f, -0.0960614979f, -0.0687862784f, -0.0475538932f,
     -0.0317396522f, -0.0204526745f, -0.0127241816f, -0.00764260581f, -0.00443184841f,
     -0.00248119072f, -0.00134111883f, -0.000699851953f, -0.000352595642f, -0.000171506079f,
     -8.05404197e-05f, -3.6515743e-05f, -1.59837309e-05f, -6.75473075e-06f, -2.7559397e-06f,
     -1.08558334e-06f, -4.12846362e-07f, -1.51581276e-07f, -5.3732176e-08f, 0.0f},
    {-1.1333249e-08f, 0.0367490835f, 0.0697227195f, 0.0957845002f, 0.112926409f, 0.120503291f,
     0.11918056f, 0.110639267f, 0.097138226f, 0.0810519457f, 0.0644871965f, 0.0490400046f,
     0.0357071497f, 0.0249267239f, 0.0167005006f, 0.0107474169f, 0.00664776796f, 0.00395439006f,
     0.00226312992f, 0.00124660425f, 0.00066111132f, 0.0003376487f, 0.000166112062f,
     7.87354948e-05f, 3.59624864e-05f, 1.58309012e-05f, 6.71734415e-06f, 2.74775493e-06f,
     1.08366135e-06f, 4.12084432e-07f, 1.51110072e-07f, 0.0f},
    {0.0664908513f, 0.0630348325f, 0.0532603003f, 0.0388014503f, 0.0219577737f, 0.00518823834f,
     -0.00937998109f, -0.0203057695f, -0.0269827191f, -0.0295812916f, -0.0288399253f,
     -0.0257891826f, -0.0214902889f, -0.0168441031f, -0.0124922087f, -0.00880194083f,
     -0.00590915652f, -0.00378804887f, -0.00232254365f, -0.00136373786f, -0.00076765276f,
     -0.000414601061f, -0.000214995234f, -0.000107105552f, -5.12852966e-05f, -2.36131218e-05f,
     -1.04580404e-05f, -4.45676415e-06f, -1.82801784e-06f, -7.21833828e-07f, -2.74462337e-07f,
     0.0f},
    {-8.56449333e-06f, -0.0090599535f, -0.0165789537f, -0.0213788021f, -0.0228982009f,
     -0.0212691538f, -0.0172081236f, -0.0117740212f, -0.00607975014f, -0.00104483217f,
     0.00275260396f, 0.00510740932f, 0.00612414628f, 0.00610167719f, 0.00541069359f,
     0.00439701602f, 0.00332532683f, 0.00236189133f, 0.00158495863f, 0.00100900594f,
     0.000611194875f, 0.000353058305f, 0.000194824679f, 0.000102840982f, 5.19867463e-05f,
     2.51893489e-05f, 1.17075751e-05f, 5.22298933e-06f, 2.23773668e-06f, 9.21168748e-07f,
     3.64489892e-07f, 0.0f},
    {-0.00991331134f, -0.00909036864f, -0.00671927631f, -0.00339124259f, 0.000158732859f,
     0.00321838912f, 0.00527727464f, 0.00612557447f, 0.00585337495f, 0.00476847542f,
     0.00327274343f, 0.00174390979f, 0.000455176982f, -0.000454831723f, -0.000968685083f,
     -0.00115126686f, -0.00110488222f, -0.000932716532f, -0.000716808659f, -0.000510382f,
     -0.000340170343f, -0.000213640684f, -0.000127009363f, -7.17100629e-05f, -3.85468084e-05f,
     -1.97646477e-05f, -9.6814083e-06f, -4.53594339e-06f, -2.03475997e-06f, -8.7466077e-07f,
     -3.60541407e-07f, 0.0f},
};

// t >= 0
TF_INLINE F32 normal_tail(F32 t) {
  constexpr float kShift = 12582912.f;  // 1.5 * 2^23: the last bit is 1
  t = min(F32(5.8125f), t);             // NaN stays
  const F32 shifted = fma(t, F32(16.f / 3.f), F32(kShift));
  const F32 d = fma(shifted - F32(kShift), F32(-3.f / 16.f), t);
  return quintic(d, [&](auto i) TF_ALWAYS_INLINE { return lookup(shifted, kTail[i]); });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
