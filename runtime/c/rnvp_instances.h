/* Every instance of the vector code: float32 and float64, on each instruction set that this kind of
 * machine may have. rnvp_vector.h and rnvp_kernels.h are included once for each.
 *
 * RNVP_TARGET   a word for the instruction set
 * RNVP_BITS     32 or 64: the number type
 * RNVP_BYTES    a vector's width
 * RNVP_BLOCK    vectors of rows that are worked on together, RNVP_COLUMNS outputs of a layer at
 * once: their product, and a few more, is how many vector registers there are RNVP_FMA, RNVP_SQRT
 * what the compiler's vector types have no operator for
 */

#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <immintrin.h>
#endif

#define RNVP_PANEL 4 /* vectors of outputs whose weights lie together */
#ifndef RNVP_GROUPS
#define RNVP_GROUPS 2 /* blocks of rows that share what is read of the weights */
#endif
#define RNVP_FEW (LANES / 2) /* so few rows are run one by one: measured, docs/native.md */

#define RNVP_STRING_(word) #word
#define RNVP_STRING(word) RNVP_STRING_(word)
#ifdef __clang__
#define RNVP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RNVP_UNROLL _Pragma("GCC unroll 16")
#endif

/* Names at file scope that each instance has of its own: vec becomes vec_32_avx2, and so on. */
#define RNVP_PASTE_(name, bits, target) name##_##bits##_##target
#define RNVP_PASTE(name, bits, target) RNVP_PASTE_(name, bits, target)
#define RNVP_NAME(name) RNVP_PASTE(name, RNVP_BITS, RNVP_TARGET)

#define load RNVP_NAME(load)
#define store RNVP_NAME(store)
#define splat RNVP_NAME(splat)
#define choose RNVP_NAME(choose)
#define fma_ RNVP_NAME(fma_)
#define sqrt_ RNVP_NAME(sqrt_)
#define at_most RNVP_NAME(at_most)
#define at_least RNVP_NAME(at_least)
#define sign_bit RNVP_NAME(sign_bit)
#define abs_ RNVP_NAME(abs_)
#define negated_if RNVP_NAME(negated_if)
#define rounded RNVP_NAME(rounded)
#define lowest_bits RNVP_NAME(lowest_bits)
#define power_of_2 RNVP_NAME(power_of_2)
#define polynomial RNVP_NAME(polynomial)
#define exp_terms RNVP_NAME(exp_terms)
#define reduced_exp RNVP_NAME(reduced_exp)
#define exp_ RNVP_NAME(exp_)
#define expm1_ RNVP_NAME(expm1_)
#define tanh_ RNVP_NAME(tanh_)
#define sigmoid_ RNVP_NAME(sigmoid_)
#define log_tail RNVP_NAME(log_tail)
#define log1p_ RNVP_NAME(log1p_)
#define log_ RNVP_NAME(log_)
#define softplus_ RNVP_NAME(softplus_)
#define near_angle RNVP_NAME(near_angle)
#define reduced_angle RNVP_NAME(reduced_angle)
#define sin_cos RNVP_NAME(sin_cos)
#define sin_ RNVP_NAME(sin_)
#define cos_ RNVP_NAME(cos_)
#define sin_cos_turns RNVP_NAME(sin_cos_turns)
#define atan_ RNVP_NAME(atan_)
#define erf_ RNVP_NAME(erf_)
#define log_terms RNVP_NAME(log_terms)
#define sin_terms RNVP_NAME(sin_terms)
#define cos_terms RNVP_NAME(cos_terms)
#define atan_terms RNVP_NAME(atan_terms)
#define erf_terms RNVP_NAME(erf_terms)
#define erfc_terms RNVP_NAME(erfc_terms)
#define vec RNVP_NAME(vec)
#define ivec RNVP_NAME(ivec)
#define uvec RNVP_NAME(uvec)
#define stride RNVP_NAME(stride)
#define vectors RNVP_NAME(vectors)
#define take RNVP_NAME(take)
#define copy RNVP_NAME(copy)
#define of_column RNVP_NAME(of_column)
#define total RNVP_NAME(total)
#define last_vector RNVP_NAME(last_vector)
#define row_sum RNVP_NAME(row_sum)
#define row_of RNVP_NAME(row_of)
#define few_outputs RNVP_NAME(few_outputs)
#define packed_size RNVP_NAME(packed_size)
#define pack_weights RNVP_NAME(pack_weights)
#define panel_of_row RNVP_NAME(panel_of_row)
#define dense_row RNVP_NAME(dense_row)
#define tile RNVP_NAME(tile)
#define tiles RNVP_NAME(tiles)
#define dense_rows RNVP_NAME(dense_rows)
#define dense RNVP_NAME(dense)
#define relu_ RNVP_NAME(relu_)
#define elu_ RNVP_NAME(elu_)
#define unit_clip RNVP_NAME(unit_clip)
#define selu_scale RNVP_NAME(selu_scale)
#define gelu_inner RNVP_NAME(gelu_inner)
#define root_half RNVP_NAME(root_half)
#define gelu_argument RNVP_NAME(gelu_argument)
#define activate RNVP_NAME(activate)
#define where RNVP_NAME(where)
#define gelu_tanh_derivative RNVP_NAME(gelu_tanh_derivative)
#define gelu_derivative RNVP_NAME(gelu_derivative)
#define mish_derivative RNVP_NAME(mish_derivative)
#define square RNVP_NAME(square)
#define activate_back RNVP_NAME(activate_back)
#define scale_function RNVP_NAME(scale_function)
#define scale_function_back RNVP_NAME(scale_function_back)
#define centre RNVP_NAME(centre)
#define norm RNVP_NAME(norm)
#define norm_back RNVP_NAME(norm_back)
#define leave RNVP_NAME(leave)
#define is_relu RNVP_NAME(is_relu)
#define network RNVP_NAME(network)
#define add RNVP_NAME(add)
#define network_back RNVP_NAME(network_back)
#define move RNVP_NAME(move)
#define gather RNVP_NAME(gather)
#define scatter RNVP_NAME(scatter)
#define coupling RNVP_NAME(coupling)
#define coupling_back RNVP_NAME(coupling_back)
#define affine RNVP_NAME(affine)
#define affine_back RNVP_NAME(affine_back)
#define linear RNVP_NAME(linear)
#define all_steps RNVP_NAME(all_steps)
#define all_steps_back RNVP_NAME(all_steps_back)
#define rows_in RNVP_NAME(rows_in)
#define rows_out RNVP_NAME(rows_out)
#define log_prob_out RNVP_NAME(log_prob_out)
#define sum_of_squares RNVP_NAME(sum_of_squares)
#define next_block RNVP_NAME(next_block)
#define context_in RNVP_NAME(context_in)
#define forward_rows RNVP_NAME(forward_rows)
#define inverse_block RNVP_NAME(inverse_block)
#define inverse_rows RNVP_NAME(inverse_rows)
#define noise RNVP_NAME(noise)
#define sample_rows RNVP_NAME(sample_rows)
#define gradient_rows RNVP_NAME(gradient_rows)
#define kernel_table RNVP_NAME(kernel_table)
#define elementary RNVP_NAME(elementary)
#define run RNVP_NAME(run)
#define selu_alpha RNVP_NAME(selu_alpha)
#define gelu_cubic RNVP_NAME(gelu_cubic)

/* ---- The baseline: what every machine of the family has ---- */

#define RNVP_TARGET baseline
#define RNVP_BYTES 16
#if defined(__aarch64__)
#define RNVP_BLOCK 3
#define RNVP_COLUMNS 8
#define RNVP_FMA_32(a, b, c) vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#define RNVP_FMA_64(a, b, c) vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b))
#define RNVP_SQRT_32(a) vsqrtq_f32((float32x4_t)(a))
#define RNVP_SQRT_64(a) vsqrtq_f64((float64x2_t)(a))
#else
#define RNVP_BLOCK 2
#define RNVP_COLUMNS 4
#define RNVP_FMA_32(a, b, c) ((a) * (b) + (c))
#define RNVP_FMA_64(a, b, c) ((a) * (b) + (c))
#if defined(__SSE2__)
#define RNVP_SQRT_32(a) _mm_sqrt_ps((__m128)(a))
#define RNVP_SQRT_64(a) _mm_sqrt_pd((__m128d)(a))
#else
#define RNVP_SQRT_32(a)                                                                            \
    ((vec){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]),                    \
           __builtin_sqrtf(a[3])})
#define RNVP_SQRT_64(a) ((vec){__builtin_sqrt(a[0]), __builtin_sqrt(a[1])})
#endif
#endif
#include "rnvp_both_types.h"

#if defined(__x86_64__) && !defined(RNVP_BASELINE_ONLY)

/* ---- x86 with AVX2 and FMA: 16 registers of 32 bytes ---- */

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define RNVP_TARGET avx2
#define RNVP_BYTES 32
#define RNVP_BLOCK 3
#define RNVP_COLUMNS 4
#define RNVP_FMA_32(a, b, c) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define RNVP_FMA_64(a, b, c) _mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c))
#define RNVP_SQRT_32(a) _mm256_sqrt_ps((__m256)(a))
#define RNVP_SQRT_64(a) _mm256_sqrt_pd((__m256d)(a))
#include "rnvp_both_types.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#ifndef RNVP_NO_AVX512 /* halves what the compiler has to do */

/* ---- x86 with AVX-512: 32 registers of 64 bytes ---- */

#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif
#define RNVP_TARGET avx512
#define RNVP_BYTES 64
#define RNVP_BLOCK 3
#define RNVP_COLUMNS 8
#define RNVP_FMA_32(a, b, c) _mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c))
#define RNVP_FMA_64(a, b, c) _mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c))
#define RNVP_SQRT_32(a) _mm512_sqrt_ps((__m512)(a))
#define RNVP_SQRT_64(a) _mm512_sqrt_pd((__m512d)(a))
#include "rnvp_both_types.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
#endif
