"""What is copied into an exported folder, or run beside one: it needs onnxruntime and NumPy alone.

Nothing in the package imports these modules, and they import nothing of the package.
"""
