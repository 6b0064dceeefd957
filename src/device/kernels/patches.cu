// RGB bytes to patches, as preprocess/patches.rs cuts them.
//
// In: `rgb`, u8 [height, width, 3]; `width` in pixels; `side` of a patch; `count` of values, height * width * 3 without the remainders.
// Out: `out` [patches, side * side * 3] in 0..1; inside a patch row, column, channel. One thread a value.

__device__ float value_at(const unsigned char *rgb, unsigned index, unsigned width, unsigned side) {
    unsigned run = side * 3;
    unsigned patch = index / (run * side), within = index % (run * side);
    unsigned columns = width / side;
    unsigned y = patch / columns * side + within / run;
    unsigned x = patch % columns * run + within % run;
    // 1/255 in f32, and one rounding: what f32::from(byte) * (1.0 / 255.0) is in Rust.
    return __fmul_rn((float)rgb[y * width * 3 + x], 0x1.010102p-8f);
}

extern "C" __global__ void patches_f32(const unsigned char *rgb, float *out, unsigned width, unsigned side, unsigned count) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) out[index] = value_at(rgb, index, width, side);
}

extern "C" __global__ void patches_f16(const unsigned char *rgb, unsigned short *out, unsigned width, unsigned side, unsigned count) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    float value = value_at(rgb, index, width, side);
#ifdef __CUDA_ARCH__
    // Without NVIDIA's header of halves, which is not among what this is compiled with.
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out[index]) : "f"(value));
#else // on_cpu.cpp
    _Float16 half = (_Float16)value;
    memcpy(&out[index], &half, 2);
#endif
}
