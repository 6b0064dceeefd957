// The kernels' sources, compiled for a CPU and run thread by thread: on_cpu.rs compares them with their references.

#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx;
static Index blockDim;
static std::barrier<> *all_threads;

#define __global__
#define __device__
// One block runs at a time.
#define __shared__ static
static void __syncthreads() { all_threads->arrive_and_wait(); }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fdiv_rn(float a, float b) { return a / b; }
static unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
static float __int_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
using std::isfinite;
using std::isnan;
#undef INFINITY
#undef NAN

#include "patches.cu"
#include "logits.cu"
#include "cache.cu"

static const unsigned BLOCK = THREADS;

// Threads that wait for none: one after the other.
template <typename Kernel>
static void each(unsigned blocks, Kernel kernel) {
    blockDim.x = BLOCK;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < BLOCK; threadIdx.x++) kernel();
}

// Threads that wait for each other: side by side.
template <typename Kernel>
static void together(unsigned blocks, Kernel kernel) {
    for (unsigned block = 0; block < blocks; block++) {
        std::barrier<> barrier(BLOCK);
        all_threads = &barrier;
        std::vector<std::thread> threads;
        for (unsigned thread = 0; thread < BLOCK; thread++)
            threads.emplace_back([=] {
                blockIdx.x = block;
                threadIdx.x = thread;
                kernel();
            });
        for (auto &thread : threads) thread.join();
    }
}

extern "C" void cpu_patches(const unsigned char *rgb, float *singles, unsigned short *halves, unsigned width, unsigned side,
                            unsigned count, unsigned blocks) {
    each(blocks, [=] { patches_f32(rgb, singles, width, side, count); });
    each(blocks, [=] { patches_f16(rgb, halves, width, side, count); });
}

extern "C" void cpu_pick(const float *singles, const unsigned short *halves, const unsigned *lines, unsigned vocabulary,
                         const unsigned *const *allowed, const unsigned *counts, const float *temperatures, unsigned most, unsigned *ids,
                         float *values, float *largest, double *sum, unsigned rows) {
    if (singles)
        together(rows, [=] {
            pick_f32(singles, lines, vocabulary, allowed, counts, temperatures, most, ids, values, largest, sum);
        });
    else
        together(rows, [=] {
            pick_f16(halves, lines, vocabulary, allowed, counts, temperatures, most, ids, values, largest, sum);
        });
}

extern "C" void cpu_mask(const unsigned *pads, long long *to, unsigned columns, unsigned count, unsigned blocks) {
    each(blocks, [=] { mask_rows(pads, to, columns, count); });
}

extern "C" void cpu_gather(const unsigned *const *from, const unsigned *rows_from, const unsigned *columns_from, const unsigned *first,
                           const unsigned *lengths, unsigned *to, unsigned heads, unsigned columns, unsigned size, index_t count,
                           unsigned blocks) {
    each(blocks, [=] { gather_rows_32(from, rows_from, columns_from, first, lengths, to, heads, columns, size, count); });
}
