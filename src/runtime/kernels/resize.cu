// One pass of the bicubic resize on bytes, as preprocess/resize.rs makes it: the width first, then the height, rounded to bytes between.
//
// In: `from`, u8 [.., width, 3] with rows of `from_row` bytes; for every place of the new side the first source pixel, how many, and their
// weights in fixed point with `precision` bits (`window` weights a place). Out: `to`, u8 [.., width, 3] with rows of `to_row` bytes, `count`
// bytes in all. One thread a byte. `vertical`: the new side is the height.

extern "C" __global__ void resize_pass(const unsigned char *from, unsigned char *to, const unsigned *starts, const unsigned *sizes,
                                       const short *weights, unsigned window, unsigned from_row, unsigned to_row, unsigned count,
                                       unsigned vertical, unsigned precision) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    unsigned row = index / to_row, byte = index % to_row;
    unsigned place = vertical ? row : byte / 3;
    unsigned step = vertical ? from_row : 3;
    unsigned source = vertical ? starts[place] * from_row + byte : row * from_row + starts[place] * 3 + byte % 3;
    int sum = 1 << (precision - 1);
    for (unsigned tap = 0; tap < sizes[place]; tap++) sum += (int)from[source + tap * step] * (int)weights[place * window + tap];
    int value = sum >> precision;
    to[index] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
}
