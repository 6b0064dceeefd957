"""Compiles src/device/kernels/*.cu to the .ptx files beside them, or with --check compares them.

Needs NVRTC of CUDA 13.0, and no card: `pip install nvidia-cuda-nvrtc==13.0.88`, or --nvrtc FOLDER with libnvrtc.so.13 in it
(`gemscope setup --gpu` has one in its cache). Another version writes other PTX, which older drivers may refuse.
"""

import argparse
import ctypes
import importlib.util
import pathlib
import sys

KERNELS = pathlib.Path(__file__).resolve().parents[2] / "src" / "device" / "kernels"
RELEASE = (13, 0)
# Turing, the oldest that CUDA 13 serves; newer cards compile it for themselves. No contraction into fused operations: results are
# compared with the CPU's.
OPTIONS = [b"--gpu-architecture=compute_75", b"--std=c++17", b"--fmad=false"]


def library(folder):
    if folder is None:
        package = importlib.util.find_spec("nvidia")
        places = [pathlib.Path(place) / "cu13" / "lib" for place in package.submodule_search_locations] if package else []
    else:
        places = [pathlib.Path(folder)]
    for place in places:
        # It opens the second by its name when it compiles; another release has it under another name.
        builtins = place / "libnvrtc-builtins.so.13.0"
        if (place / "libnvrtc.so.13").exists() and builtins.exists():
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(place / "libnvrtc.so.13"))
    sys.exit("no NVRTC of CUDA 13.0: pip install nvidia-cuda-nvrtc==13.0.88, or name its folder with --nvrtc")


def compiled(nvrtc, source):
    program = ctypes.c_void_p()
    expect(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), source.name.encode(), 0, None, None))
    options = (ctypes.c_char_p * len(OPTIONS))(*OPTIONS)
    status = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), options)
    log = taken(nvrtc, program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).strip()
    if status != 0:
        sys.exit(f"{source.name}:\n{log}")
    if log:
        print(log, file=sys.stderr)
    return taken(nvrtc, program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)


def taken(nvrtc, program, size_of, get):
    size = ctypes.c_size_t()
    expect(nvrtc, size_of(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    expect(nvrtc, get(program, text))
    return text.value.decode()


def expect(nvrtc, status):
    if status != 0:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        sys.exit(nvrtc.nvrtcGetErrorString(status).decode())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nvrtc", help="the folder of libnvrtc.so.13")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is not what its source compiles to")
    args = parser.parse_args()
    nvrtc = library(args.nvrtc)
    release = (ctypes.c_int(), ctypes.c_int())
    expect(nvrtc, nvrtc.nvrtcVersion(ctypes.byref(release[0]), ctypes.byref(release[1])))
    if (release[0].value, release[1].value) != RELEASE:
        sys.exit(f"this NVRTC is {release[0].value}.{release[1].value}; {RELEASE[0]}.{RELEASE[1]} is the one whose PTX is kept")
    differ = []
    for source in sorted(KERNELS.glob("*.cu")):
        ptx, kept = compiled(nvrtc, source), source.with_suffix(".ptx")
        if not args.check:
            kept.write_text(ptx)
        elif not kept.exists() or kept.read_text() != ptx:
            differ.append(kept.name)
    if differ:
        sys.exit(f"not what the sources compile to: {', '.join(differ)}; run {pathlib.Path(__file__).name}")


if __name__ == "__main__":
    main()
