//! What each step of preprocessing costs: `cargo bench --bench preprocess`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gemscope::preprocess::{Budget, PATCH_SIDE, patchify, resize, target_size};

fn steps(criterion: &mut Criterion) {
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/china.jpg");
    let bytes = std::fs::read(photo).unwrap();
    let image = gemscope::image::decode(&bytes, true).unwrap();
    let mut group = criterion.benchmark_group("preprocess");
    group.throughput(Throughput::Elements(1));
    group
        .bench_function("decode", |bencher| bencher.iter(|| gemscope::image::decode(black_box(&bytes), true).unwrap()));
    for budget in Budget::ALL {
        let size = target_size(image.width, image.height, budget).unwrap();
        let resized = resize(&image.rgb, image.width, image.height, size).unwrap().into_owned();
        group.bench_with_input(BenchmarkId::new("resize", budget), &size, |bencher, &size| {
            bencher.iter(|| resize(black_box(&image.rgb), image.width, image.height, size).unwrap().into_owned());
        });
        group.bench_with_input(BenchmarkId::new("patchify", budget), &size, |bencher, &size| {
            bencher.iter(|| patchify(black_box(&resized), size, PATCH_SIDE));
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
