//! temporary
use std::path::PathBuf;
use std::sync::OnceLock;
use ort::environment::Environment;
pub struct RuntimeOptions{pub ort_lib:Option<PathBuf>,pub offline:bool}
impl RuntimeOptions{pub fn from_env(o:Option<PathBuf>,offline:bool)->Self{Self{ort_lib:o.or(std::env::var_os("ORT_DYLIB_PATH").map(Into::into)),offline}}}
#[derive(Debug,thiserror::Error)]#[error("x {0}")]pub struct RuntimeError(String);
pub struct Runtime{pub environment:Environment}
static R:OnceLock<Runtime>=OnceLock::new();
pub fn load(o:&RuntimeOptions,_:&mut dyn FnMut(&str))->Result<&'static Runtime,RuntimeError>{
 Ok(R.get_or_init(||Runtime{environment:ort::init_from(o.ort_lib.as_ref().unwrap()).unwrap().with_telemetry(false).build().unwrap()}))}
pub fn cache_dir()->Result<PathBuf,RuntimeError>{Ok(dirs::cache_dir().unwrap().join("gemscope"))}
