//! The kernels once more, in Rust.
//!
//! In: what a launch is given. Out: what it leaves, computed by the same blocks and threads with
//! the same indices, one after the other. Promises: tests hold a reference to the code that the
//! kernel takes the place of. That a kernel does on a card what its reference does is still to be
//! shown.

use half::f16;

use super::{Allowed, GatherRow, Logits, PickInput, PickRow, THREADS, TopK, blocks};

/// Calls `kernel` with the index of every thread that has an element.
fn each(count: usize, mut kernel: impl FnMut(usize)) {
    for block in 0..blocks(count) {
        for thread in 0..THREADS as usize {
            let index = block as usize * THREADS as usize + thread;
            if index < count {
                kernel(index);
            }
        }
    }
}

/// `patches_f32`: `rgb` of `width` pixels a row to `[patches, side * side * 3]`.
pub(crate) fn patches(rgb: &[u8], width: usize, side: usize) -> Vec<f32> {
    let count = super::patch_values(rgb.len(), width, side);
    let mut out = vec![0.0; count];
    each(count, |index| {
        let run = side * 3;
        let (patch, within) = (index / (run * side), index % (run * side));
        let columns = width / side;
        let y = patch / columns * side + within / run;
        let x = patch % columns * run + within % run;
        out[index] = f32::from(rgb[y * width * 3 + x]) * (1.0 / 255.0);
    });
    out
}

/// `patches_f16`: the same, rounded to halves, as bits.
pub(crate) fn patches_f16(rgb: &[u8], width: usize, side: usize) -> Vec<u16> {
    patches(rgb, width, side).into_iter().map(|value| f16::from_f32(value).to_bits()).collect()
}

/// `pick_f32` and `pick_f16`.
pub(crate) fn pick(input: &PickInput<'_>) -> Vec<TopK> {
    input.rows.iter().map(|row| pick_row(input, row)).collect()
}

/// One block; what stands between two barriers is one loop over its threads.
fn pick_row(input: &PickInput<'_>, row: &PickRow<'_>) -> TopK {
    let vocabulary = input.vocabulary;
    let logit = |id: usize| match input.logits {
        Logits::F32(logits) => logits[row.line * vocabulary + id],
        Logits::F16(logits) => f16::from_bits(logits[row.line * vocabulary + id]).to_f32(),
    };
    let ids = |thread: usize| (thread..vocabulary).step_by(THREADS as usize);
    let larger = |a: f32, b: f32| if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) };

    let floats = (0..THREADS as usize)
        .map(|thread| ids(thread).map(logit).fold(f32::NEG_INFINITY, larger))
        .collect();
    let largest = tree(floats, larger);
    let usable = largest.is_finite();
    let exponentials = |thread| ids(thread).map(|id| f64::from((logit(id) - largest).exp())).sum();
    let doubles = (0..THREADS as usize)
        .map(|thread| if usable { exponentials(thread) } else { 0.0 })
        .collect();
    let sum = tree(doubles, |a: f64, b| a + b);

    let listed = if let Allowed::Ids(ids) = row.allowed { ids } else { &[] };
    let candidates = if listed.is_empty() { vocabulary } else { listed.len() };
    let candidate = |place: usize| match row.allowed {
        Allowed::All => Some(place),
        Allowed::Bits(bits) => Some(place).filter(|id| bits[id / 32] >> (id % 32) & 1 == 1),
        Allowed::Ids(ids) => Some(ids[place] as usize).filter(|id| *id < vocabulary),
    };
    let (mut picked, mut before) = (Vec::new(), u64::MAX);
    for _ in 0..input.most {
        let best = |thread| {
            let places = (thread..candidates).step_by(THREADS as usize).filter(|_| usable);
            let keys = places.filter_map(candidate).map(|id| key(logit(id), id, row.temperature));
            keys.filter(|&key| key < before).max().unwrap_or(0)
        };
        before = tree((0..THREADS as usize).map(best).collect(), u64::max);
        if before == 0 {
            picked.push((u32::MAX, f32::NAN));
        } else {
            let id = u32::MAX - before as u32;
            picked.push((id, logit(id as usize)));
        }
    }
    let (ids, logits) = picked.into_iter().unzip();
    let (largest, sum) = if usable { (largest, sum) } else { (f32::NAN, f64::NAN) };
    TopK { ids, logits, largest, sum }
}

/// A reduction in shared memory: halves are laid over each other.
fn tree<T: Copy>(mut shared: Vec<T>, joined: impl Fn(T, T) -> T) -> T {
    let mut half = shared.len() / 2;
    while half > 0 {
        for thread in 0..half {
            shared[thread] = joined(shared[thread], shared[thread + half]);
        }
        half /= 2;
    }
    shared[0]
}

/// Larger logits first, of equal ones lower ids; 0 stands for none.
fn key(logit: f32, id: usize, temperature: f32) -> u64 {
    let scaled = if temperature > 0.0 { logit / temperature } else { logit + 0.0 };
    if !scaled.is_finite() {
        return 0;
    }
    let bits = scaled.to_bits();
    let ordered = if bits & 0x8000_0000 == 0 { bits | 0x8000_0000 } else { !bits };
    u64::from(ordered) << 32 | u64::from(u32::MAX - id as u32)
}

/// `gather_rows_16` and `gather_rows_32`: rows of `sources`, each with its columns, to `[rows,
/// heads, columns, size]`.
pub(crate) fn gather<T: Copy + Default>(
    sources: &[(&[T], usize)],
    rows: &[GatherRow],
    [heads, columns, size]: [usize; 3],
) -> Vec<T> {
    let mut to = vec![T::default(); rows.len() * heads * columns * size];
    each(to.len(), |index| {
        let within = index % size;
        let column = index / size % columns;
        let head = index / size / columns % heads;
        let row = &rows[index / size / columns / heads];
        let pad = columns - row.length;
        if column >= pad {
            let (source, columns_from) = sources[row.source];
            let line = (row.row * heads + head) * columns_from + row.first + (column - pad);
            to[index] = source[line * size + within];
        }
    });
    to
}

/// `mask_rows`: `[pads, columns]`, 0 in the first columns of each row, as many as its padding has,
/// and 1 behind them.
pub(crate) fn mask(pads: &[u32], columns: usize) -> Vec<i64> {
    let mut to = vec![0; pads.len() * columns];
    each(to.len(), |index| {
        to[index] = i64::from(index % columns >= pads[index / columns] as usize);
    });
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::{TargetSize, patchify};

    /// Bytes that look like nothing in particular.
    fn noise(count: usize, seed: u32) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn patches_are_those_of_the_preprocessing() {
        for (width, height, side) in [(48, 48, 16), (912, 672, 16), (96, 144, 48), (3360, 48, 16)] {
            let rgb = noise(width * height * 3, width as u32);
            let size = TargetSize { width: width as u32, height: height as u32 };
            let expected =
                patchify(&rgb, size, side as u32).pixel_values().into_iter().collect::<Vec<_>>();
            assert!(patches(&rgb, width, side) == expected, "{width}x{height}, {side}");
            let halves: Vec<u16> =
                expected.iter().map(|&value| f16::from_f32(value).to_bits()).collect();
            assert!(patches_f16(&rgb, width, side) == halves);
        }
    }

    #[test]
    fn rows_that_cannot_be_picked_from_have_no_ids() {
        let logits = [
            1.0,
            f32::NAN,
            0.0,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
            1.0,
            f32::INFINITY,
            0.0,
        ];
        let rows = [0, 1, 2].map(|line| PickRow { line, ..PickRow::default() });
        for picked in
            pick(&PickInput { logits: Logits::F32(&logits), vocabulary: 3, rows: &rows, most: 2 })
        {
            assert!(
                picked.ids == [u32::MAX; 2] && picked.largest.is_nan() && picked.sum.is_nan(),
                "{picked:?}"
            );
        }
        let logits = [7.0, 7.0, 7.0, 7.0, -0.0, 0.0, 2.0, f32::NEG_INFINITY];
        let of = |allowed: Allowed<'_>, temperature, most| {
            let rows = [PickRow { line: 1, allowed, temperature }];
            pick(&PickInput { logits: Logits::F32(&logits), vocabulary: 4, rows: &rows, most })
                .remove(0)
                .ids
        };
        assert_eq!(
            of(Allowed::All, 0.0, 4),
            [2, 0, 1, u32::MAX],
            "both zeros are one, and minus infinity is none"
        );
        assert_eq!(of(Allowed::All, 1.0, 3), [2, 1, 0], "drawn tokens are ordered by all bits");
        assert_eq!(of(Allowed::Bits(&[0b1010]), 0.0, 2), [1, u32::MAX]);
        assert_eq!(of(Allowed::Bits(&[0]), 0.0, 1), [u32::MAX]);
        assert_eq!(
            of(Allowed::Ids(&[3, 1, 99, 2]), 0.0, 3),
            [2, 1, u32::MAX],
            "an id that there is not is none"
        );
    }

    #[test]
    fn padding_is_masked() {
        assert_eq!(mask(&[0, 2], 3), [1, 1, 1, 0, 0, 1]);
    }
}
