//! Names of samplers and models as tables compare them.
//!
//! In: a name as a tool writes it. Out: one name for the same thing, whoever wrote it. Promises: a
//! name that is not known comes back, in lower case if it is a sampler's.

/// A sampler's name as `ComfyUI` calls it: `Euler a`, `k_euler_ancestral` and `euler_ancestral` are
/// one. A noise schedule behind it is left out.
///
/// ```
/// use gemscope::record::plain_sampler;
/// assert_eq!(plain_sampler("DPM++ 2M SDE Karras"), "dpmpp_2m_sde");
/// assert_eq!(plain_sampler("Euler a"), plain_sampler("k_euler_ancestral"));
/// ```
pub fn plain_sampler(name: &str) -> String {
    const SCHEDULES: [&str; 9] = [
        "karras",
        "exponential",
        "polyexponential",
        "simple",
        "normal",
        "beta",
        "sgm_uniform",
        "ays",
        "automatic",
    ];
    let lower = name.trim().to_ascii_lowercase().replace("++", "pp").replace([' ', '-'], "_");
    let mut name = lower
        .strip_prefix("k_")
        .or_else(|| lower.strip_prefix("sample_"))
        .unwrap_or(&lower)
        .to_owned();
    while let Some(shorter) =
        SCHEDULES.iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('_'))
    {
        name.truncate(shorter.len());
    }
    let name = name.strip_suffix("_gpu").unwrap_or(&name);
    let name = match name.strip_suffix("_a") {
        Some(of) => format!("{of}_ancestral"),
        None => name.to_owned(),
    };
    match name.as_str() {
        "dpm2" => "dpm_2".to_owned(),
        "dpm2_ancestral" => "dpm_2_ancestral".to_owned(),
        "unipc" => "uni_pc".to_owned(),
        _ => name,
    }
}

/// A model's name without its folder and the ending of its file.
///
/// ```
/// use gemscope::record::plain_model;
/// assert_eq!(plain_model("xl/base_1.0.safetensors"), "base_1.0");
/// assert_eq!(plain_model("stabilityai/sdxl"), "sdxl");
/// ```
pub fn plain_model(name: &str) -> String {
    const ENDINGS: [&str; 6] = [".safetensors", ".ckpt", ".gguf", ".pth", ".pt", ".sft"];
    let one = |name: &str| {
        let name = name.trim();
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let ending = ENDINGS.iter().find(|ending| name.to_ascii_lowercase().ends_with(**ending));
        name[..name.len() - ending.map_or(0, |ending| ending.len())].to_owned()
    };
    name.split(" + ").map(one).collect::<Vec<_>>().join(" + ")
}
