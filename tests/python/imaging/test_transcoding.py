"""Objects asked for in another transfer syntax than they are kept in: C-GET with contexts that lack
theirs, and C-MOVE to a receiver that takes the default only. What comes is compared with the file
element by element, and its pixels with what independent decoders make of it."""

import io
import shutil
import subprocess

import numpy
import pydicom
import pytest
from conftest import Node, free_port
from pydicom.datadict import dictionary_VR
from pydicom.uid import MediaStorageDirectoryStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from test_pynetdicom import Association, storable, store_bytes

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
NATIVE = {IMPLICIT, EXPLICIT, DEFLATED, BIG}
# What decodes them beside us; the rest is compared with pydicom's own decoder.
DCMTK = {f"1.2.840.10008.1.2.4.{n}": "dcmdjpeg" for n in (50, 51, 53, 55, 57, 70)}
DCMTK |= {f"1.2.840.10008.1.2.4.{n}": "dcmdjpls" for n in (80, 81)}
DCMTK["1.2.840.10008.1.2.5"] = "dcmdrle"
LOSSY = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55)}
# What says how pixels lie; it is compared by itself.
PIXEL_TAGS = {0x00280002, 0x00280004, 0x00280006, 0x00282110, 0x7FE00001, 0x7FE00002, 0x7FE00003,
              0x7FE00010}


def get(node, sop_class, instance, syntax):
    """The data set of an instance in one transfer syntax, or the comment of why not."""
    got = []

    def take(event):
        assert event.context.transfer_syntax == syntax
        got.append(event.request.DataSet.getvalue())
        return 0x0000

    contexts = [(PatientRootQueryRetrieveInformationModelGet, [IMPLICIT]), (sop_class, [syntax])]
    role = build_role(sop_class, scp_role=True)
    with Association(node, contexts, [role], [(evt.EVT_C_STORE, take)]) as association:
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.SOPInstanceUID = instance
        status = list(association.send_c_get(
            identifier, PatientRootQueryRetrieveInformationModelGet))[-1][0]
    if got:
        assert status.Status == 0x0000
        return got[0], None
    assert status.Status == 0xA702, hex(status.Status)
    return None, status.ErrorComment


def read(data, syntax):
    if syntax == DEFLATED:
        import zlib
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    return pydicom.filereader.read_dataset(
        io.BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=syntax != BIG)


def raw(dataset, tag):
    """Bytes of an element as they stood, before anything is made of them."""
    element = dataset.get_item(tag)
    return (element.value or b"") if isinstance(element.value, bytes | type(None)) else None


def compare(before, after, where, skip=()):
    """Same elements in the same order, same bytes; numbers of big-endian files by value."""
    tags = [t for t in before.keys() if t.element != 0 and int(t) not in skip]
    assert [t for t in after.keys() if t.element != 0 and int(t) not in skip] == tags, where
    for tag in tags:
        first, second = raw(before, tag), raw(after, tag)
        one = before[tag]
        if one.VR == "SQ":
            other = after[tag]
            assert other.VR == "SQ", (where, tag)
            assert len(one.value) == len(other.value), (where, tag)
            for a, b in zip(one.value, other.value):
                compare(a, b, f"{where} {tag}")
        elif first == second:
            continue
        else:
            assert not before.is_little_endian or first is None or second is None, (where, tag)
            if one.VR == "OW":
                assert second in [numpy.frombuffer(first, f"u{n}").byteswap().tobytes()
                                  for n in (2, 4) if len(first) % n == 0], (where, tag)
            else:
                assert one.value == after[tag].value, (where, tag)


def pixels(path, syntax, tmp_path):
    """Pixels by an independent decoder: DCMTK's, else pydicom's; None if neither can."""
    tool = DCMTK.get(syntax)
    if tool:
        out = tmp_path / "native.dcm"
        done = subprocess.run([shutil.which(tool), path, out], capture_output=True, check=False)
        if done.returncode:
            return None
        path = out
    try:
        dataset = pydicom.dcmread(path)
        return pydicom.pixels.pixel_array(dataset, raw=True), dataset.PhotometricInterpretation
    except Exception:  # noqa: BLE001 - what it cannot decode is compared in Rust
        return None


def test_every_file_is_given_in_explicit_and_implicit_little_endian(node, tmp_path):
    converted, refused, decoded = 0, [], {}
    for instance, versions in storable().items():
        path, meta, data = versions[0]
        syntax, sop_class = str(meta.TransferSyntaxUID), meta.MediaStorageSOPClassUID
        if sop_class == MediaStorageDirectoryStorage:
            continue
        with Association(node, [(sop_class, [syntax])]) as association:
            if store_bytes(association, meta, data)[0] != 0x0000:
                continue
        explicit, why = get(node, sop_class, instance, EXPLICIT)
        implicit, why_implicit = get(node, sop_class, instance, IMPLICIT)
        if explicit is None or implicit is None:
            refused.append((path.name, syntax, why or why_implicit))
            continue
        converted += 1
        skip = () if syntax in NATIVE else PIXEL_TAGS
        original = read(data, syntax)
        compare(original, read(explicit, EXPLICIT), f"{path.name} explicit", skip)
        compare(read(explicit, EXPLICIT), read(implicit, IMPLICIT), f"{path.name} implicit")
        if syntax in NATIVE - {BIG} or "PixelData" not in original or not original.PixelData:
            continue
        for target, bytes_ in [(EXPLICIT, explicit), (IMPLICIT, implicit)]:
            dataset = read(bytes_, target)
            dataset.file_meta = pydicom.dataset.FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = target
            values = pydicom.pixels.pixel_array(dataset, raw=True)
            assert dataset.PhotometricInterpretation not in (
                "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), path.name
            if dataset.SamplesPerPixel == 3 and syntax != BIG:
                assert dataset.PlanarConfiguration == 0 or syntax.endswith("8.1")
            if syntax in LOSSY:
                assert dataset.LossyImageCompression == "01", path.name
            other = pixels(path, syntax, tmp_path)
            if other is None:
                continue
            expected, colour = other
            decoded[syntax] = decoded.get(syntax, 0) + 1
            assert values.shape == expected.shape, path.name
            if colour != dataset.PhotometricInterpretation:
                assert (colour, dataset.PhotometricInterpretation) in (
                    ("YBR_FULL", "RGB"), ("YBR_FULL_422", "RGB"), ("YBR_ICT", "RGB"),
                    ("YBR_RCT", "RGB")), path.name
                if syntax.startswith("1.2.840.10008.1.2.4.9"):
                    colour = "RGB"  # the decoder undid it; pydicom leaves the old name
                else:
                    expected = pydicom.pixels.convert_color_space(expected, "YBR_FULL", "RGB")
            # Lossy decoders may differ in rounding; others may not differ at all.
            allowed = 3 if syntax in LOSSY else 0
            difference = numpy.abs(values.astype(numpy.int64) - expected.astype(numpy.int64))
            assert difference.max() <= allowed, (path.name, syntax, int(difference.max()))
    # Its size marker was overwritten to look like a sequence delimiter.
    assert [name for name, _, _ in refused] == ["JPEG2000-embedded-sequence-delimiter.dcm"], refused
    assert converted >= 110
    assert sum(decoded.values()) >= 40, decoded
    print("compared with other decoders:", decoded)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_move_converts_for_a_receiver_that_takes_the_default_only(tmp_path, syntax):
    got = []

    def take(event):
        got.append((str(event.context.transfer_syntax), event.request.DataSet.getvalue()))
        return 0x0000

    sink = AE(ae_title="SINK")
    jpeg = [(p, m, d) for p, m, d in (v[0] for v in storable().values())
            if m.TransferSyntaxUID in LOSSY]
    assert jpeg
    for _, meta, _ in jpeg:
        sink.add_supported_context(meta.MediaStorageSOPClassUID, syntax)
    port = free_port()
    server = sink.start_server(("127.0.0.1", port), block=False,
                               evt_handlers=[(evt.EVT_C_STORE, take)])
    node = Node(tmp_path, f"""
[[dicom.peers]]
ae_title = "SINK"
address = "127.0.0.1:{port}"
services = ["echo"]
[[dicom.peers]]
ae_title = "PYNETDICOM"
services = ["echo", "store", "find", "retrieve"]
""")
    try:
        kept = []
        for _, meta, data in jpeg:
            with Association(node, [(meta.MediaStorageSOPClassUID,
                                     [meta.TransferSyntaxUID])]) as association:
                if store_bytes(association, meta, data)[0] == 0x0000:
                    kept.append(data)
        assert len(kept) >= 3
        contexts = [(StudyRootQueryRetrieveInformationModelMove, [IMPLICIT])]
        with Association(node, contexts) as association:
            for data in kept:
                identifier = pydicom.Dataset()
                identifier.QueryRetrieveLevel = "STUDY"
                identifier.StudyInstanceUID = read(data, EXPLICIT).StudyInstanceUID
                status = list(association.send_c_move(
                    identifier, "SINK", StudyRootQueryRetrieveInformationModelMove))[-1][0]
                assert status.Status == 0x0000, status
        assert len(got) >= len(kept)
        for used, data in got:
            assert used == syntax
            assert read(data, syntax).LossyImageCompression == "01"
    finally:
        server.shutdown()
        node.stop()


def test_what_cannot_be_converted_fails_alone_and_says_why(node):
    """A JPEG that is none beside one that is: the one comes, the other is counted as failed."""
    path, meta, data = next(v[0] for v in storable().values()
                            if v[0][1].TransferSyntaxUID == "1.2.840.10008.1.2.4.50")
    whole = pydicom.dcmread(path)
    study, sop_class = whole.StudyInstanceUID, meta.MediaStorageSOPClassUID
    broken = pydicom.dcmread(path)
    broken.SOPInstanceUID = broken.file_meta.MediaStorageSOPInstanceUID = \
        pydicom.uid.generate_uid()
    broken.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8no JPEG at all\x00"])
    ae = AE()
    ae.add_requested_context(sop_class, meta.TransferSyntaxUID)
    association = ae.associate(node.host, node.port, ae_title="XIANGYI")
    assert association.send_c_store(broken).Status == 0x0000
    association.release()
    with Association(node, [(sop_class, [meta.TransferSyntaxUID])]) as association:
        assert store_bytes(association, meta, data)[0] == 0x0000
    got = []

    def take(event):
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    contexts = [(PatientRootQueryRetrieveInformationModelGet, [IMPLICIT]), (sop_class, [IMPLICIT])]
    role = build_role(sop_class, scp_role=True)
    with Association(node, contexts, [role], [(evt.EVT_C_STORE, take)]) as association:
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        status, failed = list(association.send_c_get(
            identifier, PatientRootQueryRetrieveInformationModelGet))[-1]
    assert status.Status == 0xB000
    assert "pixels cannot be converted" in status.ErrorComment
    assert got == [str(meta.MediaStorageSOPInstanceUID)]
    assert failed.FailedSOPInstanceUIDList == broken.SOPInstanceUID


def test_dictionary_decides_what_implicit_elements_become(node):
    """US or SS by pixel representation, private elements UN, over-long values UN."""
    path, meta, _ = next(v[0] for v in storable().values()
                         if v[0][1].MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2")
    image = pydicom.dcmread(path)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    image.file_meta.TransferSyntaxUID = IMPLICIT
    image.PixelRepresentation = 1
    image.SmallestImagePixelValue = -5
    image["SmallestImagePixelValue"].VR = "SS"
    image.add_new(0x00091001, "UN", b"private!")
    image.add_new(0x00090010, "LO", "MAKER")
    image.ImageComments = "x" * 1000
    image.add_new(0x00081080, "LO", "y" * 70000)
    ae = AE()
    ae.add_requested_context(image.SOPClassUID, IMPLICIT)
    association = ae.associate(node.host, node.port, ae_title="XIANGYI")
    image = pydicom.dcmread(as_file(image))
    assert association.send_c_store(image).Status == 0x0000
    association.release()
    data, _ = get(node, image.SOPClassUID, image.SOPInstanceUID, EXPLICIT)
    found = read(data, EXPLICIT)
    assert found.get_item(0x00280106).VR == "SS" and found[0x00280106].value == -5
    assert found.get_item(0x00090010).VR == "LO" and found.get_item(0x00091001).VR == "UN"
    assert found.get_item(0x00081080).VR == "UN"
    assert found.get_item(0x00081080).value == b"y" * 70000
    assert found.get_item(0x00204000).VR == dictionary_VR(0x00204000)
    assert found.get_item(0x7FE00010).VR == "OW"


def as_file(dataset):
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=True, little_endian=True)
    out.seek(0)
    return out
