//! What each step from a JPEG's bytes to patches costs: `cargo bench --bench preprocess`, with
//! `--features turbojpeg` for the other decoder. The images are a mosaic of the photographs in
//! `fixtures/photos`, of 1 and of 12 megapixels.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gemscope::preprocess::{
    PATCH_SIDE, needed_size, patchify, prepare, prepare_reduced, resize, target_size,
};
use gemscope::record::{Budget, BudgetChoice};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{RgbImage, imageops::resize as scale};

const SIZES: [(&str, u32, u32); 2] = [("1 MP", 1152, 864), ("12 MP", 4000, 3000)];

/// Four photographs side by side and one above the other, each a quarter of the image.
fn mosaic(width: u32, height: u32) -> Vec<u8> {
    let mut canvas = RgbImage::new(width, height);
    for (index, name) in
        ["china.jpg", "flower.jpg", "astronaut.jpg", "chelsea.png"].iter().enumerate()
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name);
        let photo = image::open(path).unwrap().into_rgb8();
        let (column, row) = (index as u32 % 2, index as u32 / 2);
        let photo = scale(&photo, width / 2, height / 2, FilterType::CatmullRom);
        imageops::replace(
            &mut canvas,
            &photo,
            i64::from(column * width / 2),
            i64::from(row * height / 2),
        );
    }
    let mut bytes = Vec::new();
    canvas.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90)).unwrap();
    bytes
}

fn steps(criterion: &mut Criterion) {
    let budget = Budget::try_from(280).unwrap();
    for (name, width, height) in SIZES {
        let bytes = mosaic(width, height);
        let image = gemscope::image::decode(&bytes, true).unwrap();
        let mut group = criterion.benchmark_group(format!("preprocess {name}"));
        group
            .throughput(Throughput::Elements(1))
            .sample_size(20)
            .measurement_time(Duration::from_secs(4));
        group.bench_function("decode", |bencher| {
            bencher.iter(|| gemscope::image::decode(black_box(&bytes), true).unwrap());
        });
        if gemscope::image::CAN_REDUCE {
            group.bench_function("decode, as much as is needed", |bencher| {
                let needed =
                    |width, height| needed_size(width, height, BudgetChoice::Fixed(budget));
                bencher.iter(|| {
                    gemscope::image::decode_reduced(
                        black_box(&bytes),
                        true,
                        gemscope::image::MAX_PIXELS,
                        needed,
                    )
                    .unwrap()
                });
            });
        }
        for budget in [70, 280, 1120].map(|tokens| Budget::try_from(tokens).unwrap()) {
            let size = target_size(width, height, budget).unwrap();
            let resized = resize(&image.rgb, width, height, size).unwrap().into_owned();
            group.bench_with_input(BenchmarkId::new("resize", budget), &size, |bencher, &size| {
                bencher.iter(|| {
                    resize(black_box(&image.rgb), width, height, size).unwrap().into_owned()
                });
            });
            group.bench_with_input(
                BenchmarkId::new("patchify", budget),
                &size,
                |bencher, &size| {
                    bencher.iter(|| patchify(black_box(&resized), size, PATCH_SIDE));
                },
            );
        }
        group.bench_function("bytes to patches", |bencher| {
            bencher.iter(|| {
                let image = gemscope::image::decode(black_box(&bytes), true).unwrap();
                prepare(&image, BudgetChoice::Fixed(budget), PATCH_SIDE).unwrap()
            });
        });
        if gemscope::image::CAN_REDUCE {
            group.bench_function("bytes to patches, fast decode", |bencher| {
                let choice = BudgetChoice::Fixed(budget);
                let needed = |width, height| needed_size(width, height, choice);
                bencher.iter(|| {
                    let image = gemscope::image::decode_reduced(
                        black_box(&bytes),
                        true,
                        gemscope::image::MAX_PIXELS,
                        needed,
                    )
                    .unwrap();
                    prepare_reduced(&image, choice, PATCH_SIDE).unwrap()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
