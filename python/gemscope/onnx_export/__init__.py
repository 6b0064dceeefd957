"""Python side of Gemscope: scenes of coloured shapes, golden data for the Rust tests, the demo model and its export to ONNX."""
