//! Every kernel against its twin, on data that looks like nothing in particular.

use std::time::Instant;

use gemscope::runtime::devices::CudaDevice;
use gemscope::runtime::kernels::{Allowed, GatherRow, KernelError, Kernels, Logits, PickInput, PickRow, Picked, twin};

use super::Check;

/// The checks, in their order.
pub(super) const NAMES: [&str; 8] = [
    "kernel patches, f32",
    "kernel patches, f16",
    "kernel pick, f32, the most probable token",
    "kernel pick, f16, the most probable token",
    "kernel pick, f32, the 64 most probable under a grammar",
    "kernel gather_rows, 16 bits",
    "kernel gather_rows, 32 bits",
    "kernel mask_rows",
];

/// Gemma 4's.
const VOCABULARY: usize = 262_144;

/// All of them on `card`.
pub(super) fn checks(card: &CudaDevice) -> Vec<Check> {
    let kernels = match Kernels::load(card) {
        Ok(kernels) => kernels,
        Err(error) => return NAMES.map(|name| Check::failed(name, &error)).into(),
    };
    let mut random = Random(0x9e37_79b9);
    let [patches_f32, patches_f16, greedy, greedy_f16, drawn, gather_16, gather_32, mask] = NAMES;

    let (width, height) = (912, 672);
    let rgb = random.bytes(width * height * 3);
    let size = format!("{width}x{height}");
    let mut checks = vec![
        compare(patches_f32, &size, || kernels.patches(&rgb, width, 16), &twin::patches(&rgb, width, 16)),
        compare(patches_f16, &size, || kernels.patches_f16(&rgb, width, 16), &twin::patches_f16(&rgb, width, 16)),
    ];

    let rows = 4;
    let logits: Vec<f32> = (0..rows * VOCABULARY).map(|_| (random.next() % 4096) as f32 / 100.0 - 20.0).collect();
    let halves: Vec<u16> = logits.iter().map(|&logit| half::f16::from_f32(logit).to_bits()).collect();
    let words = VOCABULARY / 32;
    let allowed: Vec<u32> = (0..rows * words).map(|_| random.next() & random.next() & random.next()).collect();
    let listed: Vec<u32> = (0..300).map(|_| random.next() % VOCABULARY as u32).collect();
    let vocabulary = VOCABULARY;
    let all: Vec<_> = (0..rows).map(|line| PickRow { line, ..PickRow::default() }).collect();
    let masked: Vec<_> = (0..rows)
        .map(|line| {
            // A mask of bits, and a list of ids.
            let bits = Allowed::Bits(&allowed[line * words..][..words]);
            PickRow { line, allowed: if line == 2 { Allowed::Ids(&listed) } else { bits }, temperature: 0.7 }
        })
        .collect();
    let single = PickInput { logits: Logits::F32(&logits), vocabulary, rows: &all, most: 1 };
    let half = PickInput { logits: Logits::F16(&halves), ..single };
    let many = PickInput { rows: &masked, most: 64, ..single };
    for (name, input) in [(greedy, single), (greedy_f16, half), (drawn, many)] {
        let expected = twin::pick(&input);
        let agrees = |found: &Vec<Picked>| found.iter().zip(&expected).all(|(found, twin)| found.agrees_with(twin));
        checks.push(judge(name, "4 rows of 262144", || kernels.pick(&input), agrees));
    }

    let (heads, columns, size) = (2, 700, 256);
    let shape = [heads, columns, size];
    let halves: Vec<u16> = (0..3 * heads * 600 * size).map(|_| random.next() as u16).collect();
    let singles: Vec<u32> = halves.iter().map(|&bits| u32::from(bits) << 13 | 5).collect();
    let taken = [(0, 0, 600), (2, 100, 500), (1, 7, 0), (2, 0, 450)];
    let taken = taken.map(|(row, first, length)| GatherRow { source: 0, row, first, length });
    let (from_16, from_32) = ([(&halves[..], 600)], [(&singles[..], 600)]);
    let what = "4 rows of 700 columns";
    checks.push(compare(
        gather_16,
        what,
        || kernels.gather(&from_16, &taken, shape),
        &twin::gather(&from_16, &taken, shape),
    ));
    checks.push(compare(
        gather_32,
        what,
        || kernels.gather(&from_32, &taken, shape),
        &twin::gather(&from_32, &taken, shape),
    ));
    let pads = [0, 17, 699, 300];
    checks.push(compare(mask, what, || kernels.mask(&pads, columns), &twin::mask(&pads, columns)));
    checks
}

/// Equal to the last bit; what is compared has no NaN.
fn compare<T: PartialEq>(
    name: &'static str,
    what: &str,
    kernel: impl Fn() -> Result<Vec<T>, KernelError>,
    twin: &[T],
) -> Check {
    judge(name, what, kernel, |found| found == twin)
}

fn judge<T>(
    name: &'static str,
    what: &str,
    kernel: impl Fn() -> Result<T, KernelError>,
    agrees: impl Fn(&T) -> bool,
) -> Check {
    // The first launch has the driver translate the kernel.
    let found = kernel().and_then(|first| {
        let began = Instant::now();
        kernel().map(|again| (agrees(&first) && agrees(&again), began.elapsed()))
    });
    match found {
        Ok((true, took)) => Check::of(name, true, format!("{what}: as its twin; {took:.1?} with the copies")),
        Ok((false, _)) => Check::of(name, false, format!("{what}: not what its twin gives")),
        Err(error) => Check::failed(name, &error),
    }
}

/// Numbers that look random, the same each time (xorshift).
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 9) as u8).collect()
    }
}
