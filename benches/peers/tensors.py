"""The work of `benches/tensors.rs` with pydicom, numpy and Pillow: medians in milliseconds.

`target/test-venv/bin/python benches/peers/tensors.py`
"""

import io
import statistics
import time

import numpy
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

REPEAT = 15
MEAN = numpy.array([0.485, 0.456, 0.406], numpy.float32).reshape(3, 1, 1)
DEVIATION = numpy.array([0.229, 0.224, 0.225], numpy.float32).reshape(3, 1, 1)


def image(columns, rows):
    """A file with the ramp of `tensors.rs`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    made.PhotometricInterpretation, made.SamplesPerPixel = "MONOCHROME2", 1
    made.Rows, made.Columns = rows, columns
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelRepresentation = 0
    made.RescaleIntercept, made.RescaleSlope = -1024, 1
    made.WindowCenter, made.WindowWidth = 40, 400
    made.PixelData = (numpy.arange(rows * columns) % 4096).astype("<u2").tobytes()
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


def tensor(file, edge, how):
    data = pydicom.dcmread(io.BytesIO(file))
    values = apply_modality_lut(data.pixel_array, data)
    if how == "window":
        grey = numpy.clip((values - 40.0) / 400.0 + 0.5, 0, 1)
    elif how == "stored":
        grey = apply_voi_lut(values, data)
        grey = (grey - grey.min()) / (grey.max() - grey.min())
    else:
        low, high = numpy.percentile(values, (1, 99))
        grey = numpy.clip((values - low) / (high - low), 0, 1)
    picture = Image.fromarray(grey.astype(numpy.float32))
    small = numpy.asarray(picture.resize((edge, edge), Image.Resampling.BOX))
    return ((numpy.repeat(small[None], 3, 0) - MEAN) / DEVIATION)[None].astype(numpy.float32)


def main():
    for name, (columns, rows), edge in (("CT 512x512 to 224", (512, 512), 224),
                                        ("DX 2500x2048 to 512", (2500, 2048), 512)):
        file = image(columns, rows)
        for how in ("window", "stored", "percentiles"):
            took = []
            for _ in range(REPEAT):
                start = time.perf_counter()
                tensor(file, edge, how)
                took.append((time.perf_counter() - start) * 1000)
            print(f"{name}, {how}: {statistics.median(took):.2f} ms")


if __name__ == "__main__":
    main()
