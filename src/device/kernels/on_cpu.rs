//! The kernels' sources on this machine's CPU, against their references: what can be known of them
//! without a card.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use half::f16;
use libloading::Library;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    Allowed, GatherRow, Logits, PickInput, PickRow, TopK, blocks, patch_values, reference,
};

/// The sources as a library; `None`, said on stderr, if there is no compiler for them.
fn sources() -> Option<&'static Library> {
    static SOURCES: OnceLock<Option<(tempfile::TempDir, Library)>> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| {
        let folder = tempfile::tempdir().ok()?;
        let library = compiled(folder.path())?;
        // SAFETY: it was compiled just now, and has no initialisers of its own.
        Some((folder, unsafe { Library::new(library) }.ok()?))
    });
    sources.as_ref().map(|(_, library)| library)
}

fn compiled(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/device/kernels/on_cpu.cpp");
    let library = folder.join("on_cpu.so");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let output = Command::new(&compiler)
        .args([
            "-std=c++20",
            "-O1",
            "-ffp-contract=off",
            "-w",
            "-shared",
            "-fPIC",
            "-pthread",
            "-o",
        ])
        .args([&library, &source])
        .output();
    match output {
        Ok(output) if output.status.success() => Some(library),
        output => {
            let words = output.map_or_else(
                |error| error.to_string(),
                |output| String::from_utf8_lossy(&output.stderr).into(),
            );
            let reason: String = words.lines().take(3).collect::<Vec<_>>().join("; ");
            // Written past the test harness, which hides the output of tests that pass: a skipped
            // test should be seen.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: the kernels' sources on the CPU: {compiler} cannot compile them: {reason}"
            );
            None
        }
    }
}

type Patches = unsafe extern "C" fn(*const u8, *mut f32, *mut u16, u32, u32, u32, u32);
type Pick = unsafe extern "C" fn(
    *const f32,
    *const u16,
    *const u32,
    u32,
    *const *const u32,
    *const u32,
    *const f32,
    u32,
    *mut u32,
    *mut f32,
    *mut f32,
    *mut f64,
    u32,
);
type Mask = unsafe extern "C" fn(*const u32, *mut i64, u32, u32, u32);
type Gather = unsafe extern "C" fn(
    *const *const u32,
    *const u32,
    *const u32,
    *const u32,
    *const u32,
    *mut u32,
    u32,
    u32,
    u32,
    u64,
    u32,
);

#[test]
fn patches_are_cut_as_by_the_reference() {
    let Some(sources) = sources() else { return };
    // SAFETY: the type is that of the declaration in on_cpu.cpp; so are the arguments below, whose
    // lengths are those of a launch.
    let cut = unsafe { sources.get::<Patches>(b"cpu_patches\0") }.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (width, height, side) = (144, 96, 16);
    let rgb: Vec<u8> = (0..width * height * 3).map(|_| random.random()).collect();
    let count = patch_values(rgb.len(), width, side);
    let (mut singles, mut halves) = (vec![0.0; count], vec![0; count]);
    let sizes = (width as u32, side as u32, count as u32, blocks(count));
    unsafe {
        cut(
            rgb.as_ptr(),
            singles.as_mut_ptr(),
            halves.as_mut_ptr(),
            sizes.0,
            sizes.1,
            sizes.2,
            sizes.3,
        );
    };
    assert!(
        singles == reference::patches(&rgb, width, side)
            && halves == reference::patches_f16(&rgb, width, side)
    );
}

#[test]
fn tokens_are_picked_as_by_the_reference() {
    let Some(sources) = sources() else { return };
    // SAFETY: the type is that of the declaration in on_cpu.cpp; so are the arguments below, whose
    // lengths are those of a launch.
    let pick = unsafe { sources.get::<Pick>(b"cpu_pick\0") }.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (lines, vocabulary, most) = (3, 1000, 3);
    let words = vocabulary / 32 + 1;
    let mut logits: Vec<f32> = (0..lines * vocabulary)
        .map(|_| (random.random::<f32>() * 40.0).round() / 2.0 - 9.0)
        .collect();
    // The second line has a NaN.
    logits[vocabulary + 7] = f32::NAN;
    let bits: Vec<u16> = logits.iter().map(|&logit| f16::from_f32(logit).to_bits()).collect();
    let allowed: Vec<u32> =
        (0..words).map(|_| random.random::<u32>() & random.random::<u32>()).collect();
    let listed = [999, 3, 500, 1000, 17];
    let row = |line, allowed, temperature| PickRow { line, allowed, temperature };
    let rows = [
        row(2, Allowed::All, 0.0),
        row(0, Allowed::Bits(&allowed), 0.7),
        row(1, Allowed::All, 0.0),
        row(0, Allowed::Ids(&listed), 0.0),
        row(2, Allowed::Ids(&listed[3..4]), 1.3),
    ];
    let (mut of_lines, mut masks, mut counts, mut temperatures) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let (mask, count) = match row.allowed {
            Allowed::All => (std::ptr::null(), 0),
            Allowed::Bits(bits) => (bits.as_ptr(), 0),
            Allowed::Ids(ids) => (ids.as_ptr(), ids.len() as u32),
        };
        of_lines.push(row.line as u32);
        masks.push(mask);
        counts.push(count);
        temperatures.push(row.temperature);
    }
    for half in [false, true] {
        let (mut ids, mut values) = (vec![0; rows.len() * most], vec![0.0; rows.len() * most]);
        let (mut largest, mut sum) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        let singles = if half { std::ptr::null() } else { logits.as_ptr() };
        let halves = if half { bits.as_ptr() } else { std::ptr::null() };
        unsafe {
            pick(
                singles,
                halves,
                of_lines.as_ptr(),
                vocabulary as u32,
                masks.as_ptr(),
                counts.as_ptr(),
                temperatures.as_ptr(),
                most as u32,
                ids.as_mut_ptr(),
                values.as_mut_ptr(),
                largest.as_mut_ptr(),
                sum.as_mut_ptr(),
                rows.len() as u32,
            );
        };
        let logits = if half { Logits::F16(&bits) } else { Logits::F32(&logits) };
        let input = PickInput { logits, vocabulary, rows: &rows, most };
        for (row, expected) in reference::pick(&input).iter().enumerate() {
            let part = row * most..(row + 1) * most;
            let picked = TopK {
                ids: ids[part.clone()].to_vec(),
                logits: values[part].to_vec(),
                largest: largest[row],
                sum: sum[row],
            };
            assert!(picked.agrees_with(expected), "row {row}: {picked:?} and {expected:?}");
        }
    }
}

#[test]
fn rows_are_gathered_as_by_the_reference() {
    let Some(sources) = sources() else { return };
    // SAFETY: the type is that of the declaration in on_cpu.cpp; so are the arguments below, whose
    // lengths are those of a launch.
    let gather = unsafe { sources.get::<Gather>(b"cpu_gather\0") }.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (heads, columns, size) = (2, 7, 4);
    let sources: Vec<Vec<u32>> = [5, 7]
        .map(|columns| (0..3 * heads * columns * size).map(|_| random.random()).collect())
        .into();
    let taken = [(0, 2, 1, 4), (1, 0, 0, 7), (1, 2, 3, 0), (0, 0, 0, 5)];
    let taken = taken.map(|(source, row, first, length)| GatherRow { source, row, first, length });
    let pointers: Vec<*const u32> = taken.iter().map(|row| sources[row.source].as_ptr()).collect();
    let numbers = |of: &dyn Fn(&GatherRow) -> usize| {
        taken.iter().map(|row| of(row) as u32).collect::<Vec<_>>()
    };
    let (rows_from, columns_from) = (numbers(&|row| row.row), numbers(&|row| [5, 7][row.source]));
    let (first, lengths) = (numbers(&|row| row.first), numbers(&|row| row.length));
    let mut to = vec![1; taken.len() * heads * columns * size];
    let [of_rows, of_columns, starts, ends] =
        [&rows_from, &columns_from, &first, &lengths].map(Vec::as_ptr);
    let (count, grid, into) = (to.len() as u64, blocks(to.len()), to.as_mut_ptr());
    let shape = [heads, columns, size].map(|side| side as u32);
    unsafe {
        gather(
            pointers.as_ptr(),
            of_rows,
            of_columns,
            starts,
            ends,
            into,
            shape[0],
            shape[1],
            shape[2],
            count,
            grid,
        );
    };
    assert_eq!(
        to,
        reference::gather(&[(&sources[0], 5), (&sources[1], 7)], &taken, [heads, columns, size])
    );
}

#[test]
fn padding_is_masked_as_by_the_reference() {
    let Some(sources) = sources() else { return };
    // SAFETY: the type is that of the declaration in on_cpu.cpp; so are the arguments below, whose
    // lengths are those of a launch.
    let mask = unsafe { sources.get::<Mask>(b"cpu_mask\0") }.unwrap();

    let pads = [0, 5, 9];
    let mut masked = vec![7; 3 * 9];
    unsafe { mask(pads.as_ptr(), masked.as_mut_ptr(), 9, 27, blocks(27)) };
    assert_eq!(masked, reference::mask(&pads, 9));
}
