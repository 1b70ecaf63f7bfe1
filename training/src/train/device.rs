//! Where training computes: the device that `--device` names.

use anyhow::{Context, Result, bail};
use tch::Device;

/// Returns the device of that name: `cpu`, `cuda` or `cuda:N`.
pub fn device(name: &str) -> Result<Device> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        other => {
            let number = other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok());
            number.with_context(|| format!("unknown device `{other}`: expected cpu, cuda or cuda:N"))?
        }
    };
    let found = tch::Cuda::device_count();
    if index as i64 >= found {
        bail!(
            "no CUDA device {index}: libtorch sees {found} of them (a CPU build of libtorch sees none); use --device cpu"
        );
    }
    Ok(Device::Cuda(index))
}
