//! Preprocessing equals Hugging Face's processor, bit for bit.

use gemscope::preprocess::{PATCH_SIDE, prepare, resize, target_size};
use gemscope::record::{Budget, BudgetChoice};
use serde_json::Value;

use crate::support::{fixture, json, le_bytes_f32, le_bytes_i64, pattern, sha256};

fn number(case: &Value, key: &str) -> u32 {
    case[key].as_u64().unwrap_or_else(|| panic!("{key} of {case}")) as u32
}

#[test]
fn every_golden_case_is_bit_exact() {
    let golden = json(fixture("golden/preprocess.json"));
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let image = match case["file"].as_str() {
            Some(file) => {
                gemscope::image::decode(&std::fs::read(fixture(file)).unwrap(), true).unwrap()
            }
            None => pattern(
                case["pattern"].as_str().unwrap(),
                (number(case, "width"), number(case, "height")),
                0,
            ),
        };
        let budget = Budget::try_from(number(case, "budget")).unwrap();
        let mut view = prepare(&image, BudgetChoice::Fixed(budget), PATCH_SIDE).unwrap();
        assert_eq!(view.size.width, number(case, "resized_width"), "{name}");
        assert_eq!(view.size.height, number(case, "resized_height"), "{name}");
        assert_eq!(view.size.patches(), number(case, "patches"), "{name}");
        assert_eq!(view.size.soft_tokens(), number(case, "soft_tokens"), "{name}");
        let resized = resize(&image.rgb, image.width, image.height, view.size).unwrap();
        assert_eq!(
            sha256(&resized),
            case["resized_rgb_sha256"].as_str().unwrap(),
            "{name}: resized bytes"
        );
        view.patches.pad_to(budget.max_patches() as usize);
        let pixels = sha256(&le_bytes_f32(view.patches.pixel_values().as_slice().unwrap()));
        assert_eq!(pixels, case["pixel_values_sha256"].as_str().unwrap(), "{name}: pixel_values");
        let positions = sha256(&le_bytes_i64(&view.patches.positions));
        assert_eq!(
            positions,
            case["image_position_ids_sha256"].as_str().unwrap(),
            "{name}: image_position_ids"
        );
    }
}

#[test]
fn every_byte_is_rescaled_as_torch_does() {
    let golden = json(fixture("golden/preprocess.json"));
    let mut rgb = vec![0; 48 * 48 * 3];
    for (byte, value) in (0..=255).zip(&mut rgb) {
        *value = byte;
    }
    let size = gemscope::preprocess::TargetSize { width: 48, height: 48 };
    let grid = gemscope::preprocess::patchify(&rgb, size, 48);
    for (value, bits) in grid.pixel_values().iter().zip(golden["rescale_bits"].as_array().unwrap())
    {
        assert_eq!(format!("{:08x}", value.to_bits()), bits.as_str().unwrap());
    }
}

#[test]
fn every_golden_target_size() {
    let golden = json(fixture("golden/target_size.json"));
    let mut checked = 0;
    for (budget, sizes) in golden["sizes"].as_object().unwrap() {
        let budget: Budget = budget.parse().unwrap();
        let numbers: Vec<u32> =
            sizes.as_array().unwrap().iter().map(|value| value.as_u64().unwrap() as u32).collect();
        for case in numbers.chunks_exact(4) {
            let size = target_size(case[0], case[1], budget).unwrap();
            assert_eq!(
                [size.width, size.height],
                case[2..],
                "{}x{} under {budget}",
                case[0],
                case[1]
            );
            checked += 1;
        }
    }
    assert!(checked > 3000, "only {checked} sizes");
}
