// Rows of KV caches into a new one, as model/cache.rs joins them.
//
// In: for each new row its source `from`, [rows, heads, columns, size] with `columns_from` columns, the row `rows_from` in it, the column `first`
// where its tokens begin, and how many tokens `lengths` are taken. Out: `to` [rows, heads, columns, size], `count` elements in all; tokens end
// in the last column, what is left of them is 0. A row that is to be moved to the right is a new row of its own first tokens. One thread an
// element of 2 bytes (f16, bf16) or 4 (f32).

typedef unsigned long long index_t;

template <typename T>
__device__ void gather(const T *const *from, const unsigned *rows_from, const unsigned *columns_from, const unsigned *first,
                       const unsigned *lengths, T *to, unsigned heads, unsigned columns, unsigned size, index_t count) {
    index_t index = (index_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    unsigned within = index % size;
    unsigned column = index / size % columns;
    unsigned head = index / size / columns % heads;
    unsigned row = index / size / columns / heads;
    unsigned pad = columns - lengths[row];
    T value = 0;
    if (column >= pad) {
        index_t line = ((index_t)rows_from[row] * heads + head) * columns_from[row] + first[row] + (column - pad);
        value = from[row][line * size + within];
    }
    to[index] = value;
}

extern "C" __global__ void gather_rows_16(const unsigned short *const *from, const unsigned *rows_from, const unsigned *columns_from,
                                          const unsigned *first, const unsigned *lengths, unsigned short *to, unsigned heads,
                                          unsigned columns, unsigned size, index_t count) {
    gather(from, rows_from, columns_from, first, lengths, to, heads, columns, size, count);
}

extern "C" __global__ void gather_rows_32(const unsigned *const *from, const unsigned *rows_from, const unsigned *columns_from,
                                          const unsigned *first, const unsigned *lengths, unsigned *to, unsigned heads, unsigned columns,
                                          unsigned size, index_t count) {
    gather(from, rows_from, columns_from, first, lengths, to, heads, columns, size, count);
}

// The attention mask of rows whose first columns are padding, as model/decoder.rs feeds it.
//
// In: `pads`, one a row. Out: `to`, i64 [rows, columns], 0 in the first `pads` columns and 1 in the others; `count` elements. One thread an
// element.
extern "C" __global__ void mask_rows(const unsigned *pads, long long *to, unsigned columns, unsigned count) {
    unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) to[index] = index % columns >= pads[index / columns];
}
