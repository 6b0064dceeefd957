// The best tokens of each row of logits, and what their probabilities need, as generate/sampling.rs picks them.
//
// In: `logits` [lines, vocabulary], f32 or f16. For each row of the result: its line; `allowed`, a list of `counts` ids, or where that is 0 a bit
// for each id, or no pointer where every id is allowed; `temperatures`, which divides the logits before they are ordered, or 0: the logits
// themselves, where both zeros are one. Out, for each row: the `most` best allowed ids, the best first, of equals the lowest id (all ones where
// there are fewer), their logits, the largest logit of all ids, and the sum of exp(logit - largest) over all ids, in f64. A line with a NaN, or
// without a finite largest logit, has no ids and NaN. One block of THREADS a row.

#define THREADS 256
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
typedef unsigned long long order_t;

__device__ float as_float(float value) { return value; }

__device__ float as_float(unsigned short bits) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#else // on_cpu.cpp
    _Float16 half;
    memcpy(&half, &bits, 2);
    return (float)half;
#endif
}

// A number that orders as the logits do: larger logits first, of equal ones lower ids. 0 is none.
__device__ order_t key_of(float logit, unsigned id, float temperature) {
    float scaled = temperature > 0.0f ? __fdiv_rn(logit, temperature) : __fadd_rn(logit, 0.0f);
    if (!isfinite(scaled)) return 0;
    unsigned bits = __float_as_uint(scaled);
    unsigned ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (order_t)ordered << 32 | (0xffffffffu - id);
}

template <typename T>
__device__ void pick(const T *logits, const unsigned *lines, unsigned vocabulary, const unsigned *const *allowed, const unsigned *counts,
                     const float *temperatures, unsigned most, unsigned *ids, float *values, float *largest, double *sum) {
    __shared__ order_t keys[THREADS];
    __shared__ float floats[THREADS];
    __shared__ double doubles[THREADS];
    unsigned row = blockIdx.x, thread = threadIdx.x;
    const T *mine = logits + (size_t)lines[row] * vocabulary;

    // The largest of all ids; a NaN stays.
    float best = -INFINITY;
    for (unsigned id = thread; id < vocabulary; id += THREADS) {
        float logit = as_float(mine[id]);
        best = isnan(best) || isnan(logit) ? NAN : fmaxf(best, logit);
    }
    floats[thread] = best;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (thread < half) {
            float other = floats[thread + half];
            floats[thread] = isnan(floats[thread]) || isnan(other) ? NAN : fmaxf(floats[thread], other);
        }
        __syncthreads();
    }
    float top = floats[0];
    bool usable = isfinite(top);

    double exponentials = 0.0;
    for (unsigned id = thread; usable && id < vocabulary; id += THREADS) exponentials += (double)expf(as_float(mine[id]) - top);
    doubles[thread] = exponentials;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (thread < half) doubles[thread] += doubles[thread + half];
        __syncthreads();
    }
    if (thread == 0) {
        largest[row] = usable ? top : NAN;
        sum[row] = usable ? doubles[0] : (double)NAN;
    }

    // Each round takes the best of those that come after the last one.
    const unsigned *mask = allowed[row];
    unsigned listed = counts[row];
    unsigned candidates = listed > 0 ? listed : vocabulary;
    float temperature = temperatures[row];
    order_t before = ~(order_t)0;
    for (unsigned round = 0; round < most; round++) {
        order_t found = 0;
        for (unsigned place = thread; usable && place < candidates; place += THREADS) {
            unsigned id = listed > 0 ? mask[place] : place;
            if (listed > 0 ? id >= vocabulary : mask && !(mask[id / 32] >> (id % 32) & 1)) continue;
            order_t key = key_of(as_float(mine[id]), id, temperature);
            if (key < before && key > found) found = key;
        }
        keys[thread] = found;
        __syncthreads();
        for (unsigned half = THREADS / 2; half > 0; half /= 2) {
            if (thread < half && keys[thread + half] > keys[thread]) keys[thread] = keys[thread + half];
            __syncthreads();
        }
        before = keys[0];
        if (thread == 0) {
            unsigned id = 0xffffffffu - (unsigned)before;
            ids[row * most + round] = before ? id : 0xffffffffu;
            values[row * most + round] = before ? as_float(mine[id]) : NAN;
        }
        // Nobody writes the next round's keys before all have read this one's.
        __syncthreads();
    }
}

extern "C" __global__ void pick_f32(const float *logits, const unsigned *lines, unsigned vocabulary, const unsigned *const *allowed,
                                    const unsigned *counts, const float *temperatures, unsigned most, unsigned *ids, float *values,
                                    float *largest, double *sum) {
    pick(logits, lines, vocabulary, allowed, counts, temperatures, most, ids, values, largest, sum);
}

extern "C" __global__ void pick_f16(const unsigned short *logits, const unsigned *lines, unsigned vocabulary,
                                    const unsigned *const *allowed, const unsigned *counts, const float *temperatures, unsigned most,
                                    unsigned *ids, float *values, float *largest, double *sum) {
    pick(logits, lines, vocabulary, allowed, counts, temperatures, most, ids, values, largest, sum);
}
