"""The DICOMweb door, driven by dicomweb-client and by raw HTTP over the whole collection."""

import email.message
import hashlib
import http.client
import io
import itertools
import json
import math
import re
import socket
import time
from xml.etree import ElementTree

import numpy
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image

from conftest import FILES, Node, free_port

ORIGIN = "https://viewer.example"
DOCTOR, AUDITOR, MANAGER = "doctor-token", "auditor-token", "manager-token"
CT = "pydicom-bundled/test_files/CT_small.dcm"
JSON = {"Accept": "application/dicom+json"}
STUDIES = "/dicom-web/studies"


def store(base, *objects, study="", session=requests, **headers):
    parts = b"".join(b"--part\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n"
                     for data in objects)
    kind = 'multipart/related; type="application/dicom"; boundary=part'
    return session.post(f"{base}{STUDIES}{study}", data=parts + b"--part--",
                        headers={"Content-Type": kind, **JSON, **headers}, timeout=60)


def url_of(response):
    return response.json()["00081199"]["Value"][0]["00081190"]["Value"][0]


def data_set(file):
    """What follows the file meta group of a file that the node wrote."""
    assert file[128:132] == b"DICM"
    return file[144 + int.from_bytes(file[140:144], "little"):]


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """A node on loopback with the whole collection in it: its address, and what it said of each."""
    # dicomweb-client leaves the port out of `Host`, so links cannot be made from that.
    address = f"127.0.0.1:{free_port()}"
    node = Node(tmp_path_factory.mktemp("web"),
                f'[web]\nlisten = "{address}"\nbase_url = "http://{address}"\n'
                f'cors_origins = ["{ORIGIN}"]\nidle_timeout_ms = 2000\n')
    node.base = f"http://{node.web}"
    node.stored, node.refused = {}, {}
    with requests.Session() as session:
        for path in sorted(p for p in FILES.rglob("*") if p.is_file()):
            data = path.read_bytes()
            answer = store(node.base, data, session=session)
            if answer.status_code == 200:
                node.stored.setdefault(url_of(answer), (path, data))
            else:
                node.refused[str(path.relative_to(FILES))] = answer
    yield node
    node.stop()


def instance(door, name):
    return next(url for url, (path, _) in door.stored.items() if path == FILES / name)


def test_every_storable_file_is_stored_and_every_other_refused_with_a_reason(door):
    reasons = {}
    for name, answer in door.refused.items():
        assert answer.status_code == 409, name
        body = answer.json()
        item = body.get("00081198", body.get("0008119A"))["Value"][0]
        comment = item["00000902"]["Value"][0]
        assert comment and "\n" not in comment
        reasons.setdefault(item["00081197"]["Value"][0], []).append(name)
    # 7 files that are none and 5 broken ones; 37 without the four UIDs; those whose SOP instance
    # UID came before with other content.
    assert len(reasons.pop(0xC000)) == 12
    assert len(reasons.pop(0xA900)) == 37
    assert len(reasons.pop(0x0111)) >= 70
    assert not reasons
    assert len(door.stored) >= 180


def test_every_object_comes_back_byte_for_byte(door):
    with requests.Session() as session:
        for url, (path, data) in door.stored.items():
            answer = session.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
            assert answer.status_code == 200, path
            assert data.endswith(data_set(answer.content)), path
            assert int(answer.headers["Content-Length"]) == len(answer.content)
            meta = pydicom.dcmread(io.BytesIO(answer.content), specific_tags=[]).file_meta
            assert meta.TransferSyntaxUID in answer.headers["Content-Type"]


def test_dicomweb_client_finds_and_retrieves_studies_series_and_instances(door):
    client = DICOMwebClient(f"{door.base}/dicom-web")
    path, _ = door.stored[instance(door, CT)]
    there = pydicom.dcmread(path)
    study, series = there.StudyInstanceUID, there.SeriesInstanceUID
    found = client.search_for_studies(search_filters={"PatientID": there.PatientID})
    assert study in [s["0020000D"]["Value"][0] for s in found]
    assert series in [s["0020000E"]["Value"][0] for s in client.search_for_series(study)]
    assert client.search_for_instances(study, series)[0]["00080018"]["Value"]
    for objects in (client.retrieve_study(study), client.retrieve_series(study, series)):
        got, = (o for o in objects if o.SOPInstanceUID == there.SOPInstanceUID)
        assert got.PixelData == there.PixelData
    one = client.retrieve_instance(study, series, there.SOPInstanceUID)
    assert one.PixelData == there.PixelData
    metadata = client.retrieve_instance_metadata(study, series, there.SOPInstanceUID)
    assert metadata["00100020"]["Value"] == [there.PatientID]
    frame = client.retrieve_instance_frames(study, series, there.SOPInstanceUID, [1])[0]
    assert frame == there.PixelData
    bulk = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert bulk[0] == there.PixelData
    png = client.retrieve_instance_rendered(study, series, there.SOPInstanceUID,
                                            media_types=("image/png",))
    assert Image.open(io.BytesIO(png)).size == (there.Columns, there.Rows)


def test_dicomweb_client_stores(door):
    there = pydicom.dcmread(FILES / CT)
    there.SOPInstanceUID = there.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.6.7.8.1"
    there.StudyInstanceUID, there.SeriesInstanceUID = "1.2.3.4.5.6.7.8.2", "1.2.3.4.5.6.7.8.3"
    client = DICOMwebClient(f"{door.base}/dicom-web")
    answer = client.store_instances([there], study_instance_uid=there.StudyInstanceUID)
    assert answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == there.SOPInstanceUID
    assert "FailedSOPSequence" not in answer
    got = client.retrieve_instance("1.2.3.4.5.6.7.8.2", "1.2.3.4.5.6.7.8.3", "1.2.3.4.5.6.7.8.1")
    assert got.PixelData == there.PixelData


def blank(values):
    """Values without padding, and without what stands for nothing at the end."""
    values = [v.strip(" \0") if isinstance(v, str) else v for v in values]
    values = [{k: g.strip() for k, g in v.items()} if isinstance(v, dict) else v for v in values]
    values = [None if v in ("", {}) else v for v in values]
    while values and values[-1] is None:
        values.pop()
    return values


def is_same(ours, theirs):
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=1e-12)
    return ours == theirs


def compare(ours, theirs, place):
    """Yields how two data sets in DICOM JSON differ."""
    for key in sorted(set(ours) | set(theirs)):
        # Group lengths may not stand in JSON (F.2.2); the character set of JSON is UTF-8 and both
        # say so or not; pixels are compared elsewhere.
        if key.endswith("0000") or key == "00080005" or key >= "7FE00000":
            continue
        a, b = ours.get(key), theirs.get(key)
        here = f"{place}/{key}"
        if a is None or b is None:
            yield "missing", here
        elif a["vr"] != b["vr"]:
            # pydicom has a dictionary of private elements where no VR was written; for us what
            # nobody declared is unknown, and its bytes are kept.
            private = int(key[:4], 16) % 2 == 1 and a["vr"] == "UN"
            yield "private" if private else "vr", here
        elif "BulkDataURI" in a:
            yield "bulk", here
        elif a["vr"] == "SQ":
            items, others = a.get("Value", []), b.get("Value", [])
            if len(items) != len(others):
                yield "items", here
            for number, (x, y) in enumerate(zip(items, others)):
                yield from compare(x, y, f"{here}/{number}")
        elif a.get("InlineBinary") != b.get("InlineBinary"):
            yield "binary", here
        else:
            x, y = blank(a.get("Value", [])), blank(b.get("Value", []))
            if len(x) != len(y) or not all(map(is_same, x, y)):
                yield "value", f"{here} {x} {y}"


def test_metadata_says_what_pydicom_reads(door):
    compared, bulk = 0, 0
    with requests.Session() as session:
        for url, (path, data) in door.stored.items():
            answer = session.get(f"{url}/metadata", headers=JSON)
            assert answer.status_code == 200, path
            ours, = answer.json()
            try:
                read = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
                theirs = read.to_json_dict(bulk_data_threshold=1 << 30)
            except ValueError:
                # A length where a number should be: pydicom gives up on the whole object.
                assert path.name == "badVR.dcm"
                continue
            differences = [d for d in compare(ours, theirs, path.name) if d[0] != "private"]
            bulk += sum(kind == "bulk" for kind, _ in differences)
            assert not [d for d in differences if d[0] != "bulk"], path
            compared += 1
    assert compared >= 180 and bulk > 0


def bulk_values(metadata):
    for key, element in metadata.items():
        if "BulkDataURI" in element:
            yield key, element["BulkDataURI"]
        for item in element.get("Value", []) if element["vr"] == "SQ" else []:
            yield from bulk_values(item)


def test_bulk_data_are_the_bytes_of_the_object(door):
    fetched = 0
    with requests.Session() as session:
        for url, (path, data) in itertools.islice(door.stored.items(), 0, None, 3):
            metadata, = session.get(f"{url}/metadata", headers=JSON).json()
            for key, address in bulk_values(metadata):
                answer = session.get(address, headers={"Accept": "application/octet-stream"})
                if key == "7FE00010" and answer.status_code in (406, 409):
                    # Video, which nothing here decodes.
                    assert answer.json()["detail"], path
                    continue
                assert answer.status_code == 200, (path, key)
                if "transfer-syntax" in answer.headers["Content-Type"]:
                    # Compressed pixels, decoded.
                    continue
                deflated = "1.2.1.99" in str(path) or b"1.2.840.10008.1.2.1.99" in data[:600]
                big = b"1.2.840.10008.1.2.2\0" in data[:600] or "BigEnd" in path.name
                if not deflated and not big:
                    assert answer.content in data, (path, key)
                    fetched += 1
    assert fetched > 30


def parts_of(answer):
    boundary = re.search(r"boundary=([^;]+)", answer.headers["Content-Type"])[1].encode()
    pieces = answer.content.split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    return [piece.split(b"\r\n\r\n", 1) for piece in pieces[1:-1]]


def test_frames_are_those_that_pydicom_finds(door):
    native, packed, refused = 0, 0, []
    accept = {"Accept": 'multipart/related; type="*/*"; transfer-syntax=*'}
    with requests.Session() as session:
        for url, (path, data) in door.stored.items():
            read = pydicom.dcmread(io.BytesIO(data), force=True)
            if "PixelData" not in read or read.get("BitsAllocated", 0) % 8:
                continue
            if path.name == "badVR.dcm":
                # Its number of frames is "1A", over which pydicom stumbles.
                continue
            count = int(read.get("NumberOfFrames", 1) or 1)
            numbers = sorted({1, count})
            answer = session.get(f"{url}/frames/{','.join(map(str, numbers))}", headers=accept)
            syntax = read.file_meta.get("TransferSyntaxUID") if "file_meta" in dir(read) else None
            if answer.status_code != 200:
                # Video is one stream, and some objects lack what says how large a frame is.
                assert answer.json()["detail"], path
                refused.append(path.name)
                continue
            parts = parts_of(answer)
            assert len(parts) == len(numbers)
            if syntax is not None and syntax.is_encapsulated:
                theirs = list(pydicom.encaps.generate_frames(read.PixelData, number_of_frames=count))
                for number, (_, ours) in zip(numbers, parts):
                    assert ours.rstrip(b"\0") == theirs[number - 1].rstrip(b"\0"), path
                packed += 1
            elif syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"):
                length = len(parts[0][1])
                for number, (headers, ours) in zip(numbers, parts):
                    begin = (number - 1) * length
                    assert ours == read.PixelData[begin:begin + length], path
                    assert b"application/octet-stream" in headers
                native += 1
    assert native > 40 and packed > 40 and len(refused) < 12, (native, packed, refused)


def test_a_frame_comes_alone_in_ranges_and_is_refused_beyond_the_last(door):
    url = instance(door, CT)
    pixels = pydicom.dcmread(FILES / CT).PixelData
    alone = {"Accept": "application/octet-stream"}
    whole = requests.get(f"{url}/frames/1", headers=alone)
    assert whole.content == pixels and whole.headers["Accept-Ranges"] == "bytes"
    part = requests.get(f"{url}/frames/1", headers={**alone, "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, pixels[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(pixels)}"
    assert requests.get(f"{url}/frames/2", headers=alone).status_code == 404
    jpeg = {"Accept": 'multipart/related; type="image/jpeg"'}
    assert requests.get(f"{url}/frames/1", headers=jpeg).status_code == 406


def compressed(door):
    """An instance in JPEG 2000 without loss, and what pydicom reads of it."""
    return next((url, pydicom.dcmread(io.BytesIO(data)))
                for url, (_, data) in door.stored.items()
                if b"1.2.840.10008.1.2.4.90" in data[:1000])


def test_compressed_frames_come_as_they_lie_or_decoded_as_the_caller_asks(door):
    url, read = compressed(door)
    octets = 'multipart/related; type="application/octet-stream"'
    for accept in (octets, octets + "; transfer-syntax=1.2.840.10008.1.2.1"):
        answer = requests.get(f"{url}/frames/1", headers={"Accept": accept})
        headers, frame = parts_of(answer)[0]
        assert b"application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1\r" in headers + b"\r"
        rows, columns = read.Rows, read.Columns
        assert len(frame) == rows * columns * read.SamplesPerPixel * read.BitsAllocated // 8
    answer = requests.get(f"{url}/frames/1", headers={"Accept": 'multipart/related; type="image/*"'})
    headers, frame = parts_of(answer)[0]
    assert b"image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90" in headers
    answer = requests.get(f"{url}/frames/1", headers={"Accept": octets + "; transfer-syntax=*"})
    headers, same = parts_of(answer)[0]
    assert b"application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.90" in headers
    assert same == frame


def test_objects_are_converted_for_who_asks_for_another_syntax(door):
    url, read = compressed(door)
    for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"):
        accept = f"application/dicom; transfer-syntax={syntax}"
        alone = requests.get(url, headers={"Accept": accept})
        got = pydicom.dcmread(io.BytesIO(alone.content))
        assert (got.file_meta.TransferSyntaxUID, got.SOPInstanceUID) == (syntax, read.SOPInstanceUID)
        samples = read.Rows * read.Columns * read.SamplesPerPixel
        assert len(got.PixelData) == samples * read.BitsAllocated // 8
        assert int(alone.headers["Content-Length"]) == len(alone.content)
        parts = requests.get(url, headers={"Accept": f'multipart/related; type="application/dicom"; '
                                                     f"transfer-syntax={syntax}"})
        headers, file = parts_of(parts)[0]
        assert syntax.encode() in headers and data_set(file) == data_set(alone.content)
        tail = requests.get(url, headers={"Accept": accept, "Range": "bytes=-50"})
        assert (tail.status_code, tail.content) == (206, alone.content[-50:])


def test_rendered_images_show_the_window_that_was_asked_for(door):
    url = instance(door, CT)
    read = pydicom.dcmread(FILES / CT)
    values = read.pixel_array.astype(float) * read.RescaleSlope + read.RescaleIntercept
    for center, width in [(40, 400), (300, 1500), (-600, 1200)]:
        answer = requests.get(f"{url}/rendered?window={center},{width},linear",
                              headers={"Accept": "image/png"})
        assert answer.headers["Content-Type"] == "image/png"
        drawn = numpy.asarray(Image.open(io.BytesIO(answer.content)).convert("L")).astype(float)
        # PS3.3, C.11.2.1.2.1.
        grey = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
        assert numpy.abs(drawn - numpy.clip(grey, 0, 255)).max() <= 1
    small = requests.get(f"{url}/frames/1/rendered?viewport=50,30&quality=50")
    image = Image.open(io.BytesIO(small.content))
    assert (small.headers["Content-Type"], image.size) == ("image/jpeg", (30, 30))
    part = requests.get(f"{url}/rendered?viewport=64,64,0,0,64,64", headers={"Accept": "image/png"})
    assert Image.open(io.BytesIO(part.content)).size == (64, 64)
    again = requests.get(f"{url}/rendered", headers={"If-None-Match": requests.get(
        f"{url}/rendered").headers["ETag"]})
    assert again.status_code == 304 and not again.content


def test_thumbnails_come_for_studies_series_instances_and_frames(door):
    url = instance(door, CT)
    series, study = url.rsplit("/instances/", 1)[0], url.split("/series/", 1)[0]
    for address in (study, series, url, f"{url}/frames/1"):
        answer = requests.get(f"{address}/thumbnail")
        assert Image.open(io.BytesIO(answer.content)).size == (128, 128), address
        answer = requests.get(f"{address}/thumbnail?viewport=32,32")
        assert Image.open(io.BytesIO(answer.content)).size == (32, 32), address


def test_every_image_is_drawn_or_refused_with_a_reason(door):
    drawn = 0
    with requests.Session() as session:
        for url, (path, _) in door.stored.items():
            answer = session.get(f"{url}/rendered?viewport=64,64")
            assert answer.status_code in (200, 406), (path, answer.text)
            if answer.status_code == 200:
                assert max(Image.open(io.BytesIO(answer.content)).size) <= 64, path
                drawn += 1
            else:
                assert answer.json()["code"] == "NOT_RENDERABLE", path
    assert drawn > 100


def test_wado_uri_gives_files_and_pictures(door):
    url = instance(door, CT)
    study, series, uid = re.search("studies/(.+)/series/(.+)/instances/(.+)", url).groups()
    asked = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": uid}
    wado = f"{door.base}/wado"
    file = requests.get(wado, params={**asked, "contentType": "application/dicom"})
    assert (FILES / CT).read_bytes().endswith(data_set(file.content))
    picture = requests.get(wado, params={**asked, "rows": 32, "windowCenter": 40,
                                         "windowWidth": 400, "frameNumber": 1})
    assert picture.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(picture.content)).size == (32, 32)
    part = requests.get(wado, params={**asked, "contentType": "image/png", "region": "0,0,0.5,1"})
    assert Image.open(io.BytesIO(part.content)).size == (64, 128)
    for wrong, field in [({"requestType": "GET"}, "requestType"), ({"objectUID": "x"}, "objectUID"),
                         ({"frameNumber": 0}, "frameNumber"), ({"windowCenter": 1}, "windowWidth"),
                         ({"region": "1,0,0,1"}, "region"), ({"annotation": "patient"}, "annotation"),
                         ({"imageQuality": 0}, "imageQuality"), ({"rows": "many"}, "rows")]:
        answer = requests.get(wado, params={**asked, **wrong})
        assert answer.status_code == 400, wrong
        assert [p["field"] for p in answer.json()["fields"]] == [field]
    assert requests.get(wado, params={**asked, "contentType": "video/mp4"}).status_code == 406
    unknown = requests.get(wado, params={**asked, "objectUID": "1.2.3"})
    assert unknown.status_code == 404


def test_ranges_tags_and_head_of_an_instance(door):
    url = instance(door, CT)
    alone = {"Accept": "application/dicom"}
    whole = requests.get(url, headers=alone)
    head = requests.head(url, headers=alone)
    assert head.headers["Content-Length"] == str(len(whole.content)) and not head.content
    tag = whole.headers["ETag"]
    assert head.headers["ETag"] == tag
    pieces = b""
    while len(pieces) < len(whole.content):
        last = len(pieces) + 9999
        answer = requests.get(url, headers={**alone, "Range": f"bytes={len(pieces)}-{last}",
                                            "If-Range": tag})
        assert answer.status_code == 206
        pieces += answer.content
    assert pieces == whole.content
    tail = requests.get(url, headers={**alone, "Range": "bytes=-100"})
    assert tail.content == whole.content[-100:]
    beyond = requests.get(url, headers={**alone, "Range": f"bytes={len(pieces)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(pieces)}"
    assert requests.get(url, headers={**alone, "If-None-Match": tag}).status_code == 304
    for address in (f"{url}/metadata", url.rsplit("/series", 1)[0]):
        first = requests.get(address)
        again = requests.get(address, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code) == (200, 304)
        assert requests.get(address).content == first.content


def test_searches_page_and_warn_when_there_is_more(door):
    everything = requests.get(f"{door.base}/dicom-web/instances?limit=5000", headers=JSON)
    assert "Warning" not in everything.headers
    uids = [i["00080018"]["Value"][0] for i in everything.json()]
    assert len(uids) == len(set(uids)) >= 180
    paged, offset = [], 0
    while offset < len(uids):
        page = requests.get(f"{door.base}/dicom-web/instances?limit=50&offset={offset}",
                            headers=JSON)
        more = offset + 50 < len(uids)
        assert ("299" in page.headers.get("Warning", "")) == more
        paged += [i["00080018"]["Value"][0] for i in page.json()]
        offset += 50
    assert paged == uids
    nobody = requests.get(f"{door.base}{STUDIES}?PatientID=nobody-at-all", headers=JSON)
    assert (nobody.status_code, nobody.content) == (204, b"")
    unknown = requests.get(f"{door.base}{STUDIES}?PatientComments=x", headers=JSON)
    assert "00104000" in unknown.headers["Warning"]
    for level in ("series", "instances"):
        found = requests.get(f"{door.base}/dicom-web/{level}?Modality=CT&limit=3&includefield=all",
                             headers=JSON).json()
        assert len(found) == 3 and all(f["00080060"]["Value"] == ["CT"] for f in found)
        address = found[0]["00081190"]["Value"][0]
        assert requests.get(f"{address}/metadata", headers=JSON).status_code == 200


BAD = [
    ("GET", "/studies?limit=many", {}, 400, "query"),
    ("GET", "/studies?NoSuchKeyword=1", {}, 400, "query"),
    ("GET", "/studies?StudyDate=yesterday", {}, 400, "query"),
    ("GET", "/studies/1.2.x", {}, 400, "study"),
    ("GET", "/studies/" + "1" * 65, {}, 400, "study"),
    ("GET", "/studies/1.2.3", {}, 404, None),
    ("GET", "/studies/1.2.3/metadata", {}, 404, None),
    ("GET", "/studies/1.2.3/series/1.2/instances/1.3/frames/1", {}, 404, None),
    ("GET", "/nothing", {}, 404, None),
    ("DELETE", "/studies/1.2.3", {}, 405, None),
    ("GET", "/studies", {"Accept": "application/dicom+xml"}, 406, "accept"),
    ("GET", "/studies", {"Accept": "nonsense"}, 400, "accept"),
    ("POST", "/studies", {"Content-Type": "text/plain"}, 415, "content-type"),
    ("POST", "/studies", {"Content-Type": "multipart/related; type=image/jpeg; boundary=a"}, 415,
     "content-type"),
    ("POST", "/studies", {"Content-Type": "multipart/related; type=application/dicom"}, 400,
     "content-type"),
    ("POST", "/studies", {"Content-Type": "multipart/related; boundary=a"}, 400, "body"),
    ("POST", "/studies", {"Content-Type": "multipart/related; boundary=a",
                          "Content-Length": str(1 << 50)}, 413, None),
    ("POST", "/studies", {}, 415, "content-type"),
]


@pytest.mark.parametrize("method,path,headers,status,field", BAD)
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(
        door, method, path, headers, status, field):
    connection = http.client.HTTPConnection(door.web, timeout=30)
    connection.putrequest(method, f"/dicom-web{path}")
    for name, value in headers.items():
        connection.putheader(name, value)
    if method == "POST" and "Content-Length" not in headers:
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert (answer.status, body["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["code"] and body["detail"]
    if status == 405:
        assert answer.headers["Allow"].replace(" ", "") == "GET,HEAD,POST"
    assert [f["field"] for f in body.get("fields", [])] == ([field] if field else [])
    connection.close()


def test_bad_parameters_of_pictures_and_frames_are_refused(door):
    url = instance(door, CT)
    for path, status in [("frames/0", 400), ("frames/a", 400), ("frames/1,,2", 400),
                         ("frames/99", 404), ("rendered?window=1", 400),
                         ("rendered?viewport=0,0", 400), ("rendered?quality=0", 400),
                         ("rendered?annotation=patient", 400), ("frames/9/rendered", 404),
                         ("frames/1,2/rendered", 400), ("bulkdata/00100010", 404),
                         ("rendered?viewport=9,9,200,0,9,9", 400)]:
        answer = requests.get(f"{url}/{path}")
        assert answer.status_code == status, (path, answer.text)
    assert requests.get(f"{url}/rendered", headers={"Accept": "image/gif"}).status_code == 406
    syntax = "1.2.840.10008.1.2.4.50"
    for kind in ("application/dicom", 'multipart/related; type="application/dicom"'):
        answer = requests.get(url, headers={"Accept": f"{kind}; transfer-syntax={syntax}"})
        assert answer.status_code == 406
        assert "1.2.840.10008.1.2.1" in answer.json()["fields"][0]["allowed"]


def test_some_stored_some_not_is_202_and_says_which(door):
    good, junk = (FILES / CT).read_bytes(), b"\x89PNG nothing"
    answer = store(door.base, good, junk, good[:20_000])
    assert answer.status_code == 202
    body = answer.json()
    assert len(body["00081199"]["Value"]) == 1
    assert body["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]
    assert body["0008119A"]["Value"][0]["00081197"]["Value"] == [0xC000]
    elsewhere = store(door.base, good, study="/1.2.3")
    assert elsewhere.status_code == 409
    failed = elsewhere.json()["00081198"]["Value"][0]
    assert failed["00081197"]["Value"] == [0xA900]
    assert "study instance UID" in failed["00000902"]["Value"][0]


def test_browsers_of_the_viewer_may_ask_and_others_may_not(door):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET",
             "Access-Control-Request-Headers": "authorization"}
    answer = requests.options(f"{door.base}{STUDIES}", headers=asked)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    other = requests.options(f"{door.base}{STUDIES}", headers={**asked, "Origin": "https://x.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    real = requests.get(f"{door.base}{STUDIES}", headers={"Origin": ORIGIN})
    assert "etag" in real.headers["Access-Control-Expose-Headers"].lower()


def test_a_client_that_goes_in_the_middle_harms_nobody(door):
    host, port = door.web.rsplit(":", 1)
    body = b"--a\r\nContent-Type: application/dicom\r\n\r\n" + (FILES / CT).read_bytes()[:9000]
    head = (f"POST {STUDIES} HTTP/1.1\r\nHost: {door.web}\r\nContent-Length: 900000\r\n"
            "Content-Type: multipart/related; boundary=a\r\n\r\n").encode()
    for _ in range(20):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head + body)
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"GET {instance(door, CT)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            client.recv(100)
    # One that stands still is let go, and told why.
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(head + body)
        begun = time.monotonic()
        assert client.recv(4096).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begun < 20
    assert requests.get(f"{door.base}{STUDIES}?limit=1", headers=JSON).status_code == 200


def test_only_those_with_a_token_and_the_right_come_in(tmp_path):
    tokens = "".join(
        f'[[auth.tokens]]\nname = "{name}"\nsha256 = "{hashlib.sha256(t.encode()).hexdigest()}"\n'
        f'role = "{role}"\n'
        for name, t, role in [("d", DOCTOR, "village_doctor"), ("a", AUDITOR, "auditor"),
                              ("m", MANAGER, "administrator")])
    node = Node(tmp_path, f'[web]\nlisten = "127.0.0.1:0"\n{tokens}')
    try:
        base = f"http://{node.web}"
        data = (FILES / CT).read_bytes()
        bearer = lambda token: {"Authorization": f"Bearer {token}"}
        for headers in ({}, bearer("wrong"), {"Authorization": "Basic eDp5"}):
            answer = store(base, data, **headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        url = url_of(store(base, data, **bearer(DOCTOR)))
        study = url.split("/series/")[0]
        paths = [url, study, f"{url}/metadata", f"{url}/frames/1", f"{url}/rendered",
                 f"{url}/thumbnail", f"{study}/thumbnail", f"{url}/bulkdata/7FE00010"]
        for path in paths:
            assert requests.get(path).status_code == 401, path
            assert requests.get(path, headers=bearer(DOCTOR)).status_code == 200, path
            for token in (AUDITOR, MANAGER):
                answer = requests.get(path, headers=bearer(token))
                assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
        assert requests.get(f"{base}{STUDIES}", headers=bearer(AUDITOR)).status_code == 200
        for token, status in [(MANAGER, 403), (None, 401)]:
            headers = bearer(token) if token else {}
            assert requests.get(f"{base}{STUDIES}", headers=headers).status_code == status
            assert store(base, data, **headers).status_code == status
        assert store(base, data, **bearer(AUDITOR)).status_code == 403
        log = node.log.read_text(encoding="utf-8")
        assert DOCTOR not in log and str(pydicom.dcmread(FILES / CT).PatientName) not in log
    finally:
        node.stop()


NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
XML = {"Accept": 'multipart/related; type="application/dicom+xml"'}


def related(answer):
    """Content types, locations and contents of the parts of an answer."""
    kind = email.message.Message()
    kind["Content-Type"] = answer.headers["Content-Type"]
    assert kind.get_content_type() == "multipart/related"
    boundary = b"--" + kind.get_param("boundary").encode()
    first, *parts, last = answer.content.split(boundary)
    assert first in (b"", b"\r\n") and last == b"--\r\n"
    for part in parts:
        head, content = part.split(b"\r\n\r\n", 1)
        headers = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        assert headers["Content-Type"].split(";")[0] == kind.get_param("type")
        yield headers["Content-Type"], headers["Content-Location"], content.removesuffix(b"\r\n")


def native(element):
    """Elements below a NativeDicomModel or an Item, held to the model (PS3.19, A.1.5), as JSON."""
    attributes = {}
    for child in element:
        assert child.tag == f"{NATIVE}DicomAttribute" and not (child.text or "").strip()
        tag, vr = child.get("tag"), child.get("vr")
        assert re.fullmatch("[0-9A-F]{8}", tag) and re.fullmatch("[A-Z]{2}", vr)
        assert set(child.attrib) <= {"tag", "vr", "keyword", "privateCreator"}
        assert tag not in attributes and tag > max(attributes, default="")
        private = int(tag[:4], 16) % 2 == 1
        keyword = pydicom.datadict.keyword_for_tag(int(tag, 16))
        if not private and keyword and child.get("keyword"):
            assert child.get("keyword") == keyword
        assert not (private and child.get("keyword"))
        attributes[tag] = {"vr": vr, **content(vr, list(child))}
    return attributes


def content(vr, children):
    names = {child.tag.removeprefix(NATIVE) for child in children}
    if names == {"BulkData"}:
        return {"BulkDataURI": children[0].get("uri")}
    if names == {"InlineBinary"}:
        return {"InlineBinary": children[0].text}
    assert names <= {{"SQ": "Item", "PN": "PersonName"}.get(vr, "Value")}, (vr, names)
    assert [c.get("number") for c in children] == [str(n + 1) for n in range(len(children))]
    if not children:
        return {}
    if vr == "SQ":
        return {"Value": [native(child) for child in children]}
    if vr == "PN":
        return {"Value": [named(child) for child in children]}
    return {"Value": [child.text for child in children]}


def named(person):
    order = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]
    groups = {}
    for group in person:
        assert group.tag in {f"{NATIVE}{name}" for name in ("Alphabetic", "Ideographic", "Phonetic")}
        parts = {part.tag.removeprefix(NATIVE): part.text for part in group}
        assert set(parts) <= set(order)
        text = "^".join(parts.get(name, "") for name in order).rstrip("^")
        groups[group.tag.removeprefix(NATIVE)] = text
    return groups or None


def same(xml, json_):
    """Whether elements from XML are those of DICOM JSON."""
    assert xml.keys() == json_.keys()
    for tag, there in json_.items():
        got = xml[tag]
        assert got["vr"] == there["vr"]
        for key in ("BulkDataURI", "InlineBinary"):
            assert got.get(key) == there.get(key), tag
        values = there.get("Value", [])
        assert len(got.get("Value", [])) == len(values), tag
        for one, other in zip(got.get("Value", []), values):
            if there["vr"] == "SQ":
                same(one, other)
            elif isinstance(other, dict):
                wanted = {k: plain(v.rstrip("^")) for k, v in other.items() if v.strip("^")}
                assert {k: v for k, v in (one or {}).items() if v} == wanted, tag
            elif isinstance(other, (int, float)):
                assert float(one) == other, tag
            else:
                assert (one or "") == plain(other or ""), tag


def plain(text):
    """Text as XML can hold it."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text)


def test_xml_metadata_says_the_same_as_json_of_every_object(door):
    with requests.Session() as session:
        for url, (path, _) in door.stored.items():
            answer = session.get(f"{url}/metadata", headers=XML)
            assert answer.status_code == 200, path
            (_, location, document), = related(answer)
            assert location == f"{url}/metadata"
            root = ElementTree.fromstring(document)
            assert root.tag == f"{NATIVE}NativeDicomModel"
            json_, = session.get(f"{url}/metadata", headers=JSON).json()
            same(native(root), json_)


def test_searches_answer_in_xml_and_who_asks_for_neither_is_told_what_there_is(door):
    for resource in ("studies", "series", "instances"):
        url = f"{door.base}/dicom-web/{resource}?limit=5"
        there = requests.get(url, headers=JSON, timeout=60).json()
        answer = requests.get(url, headers=XML, timeout=60)
        documents = list(related(answer))
        assert len(documents) == len(there) == 5
        for (_, location, document), json_ in zip(documents, there):
            assert location == json_["00081190"]["Value"][0]
            same(native(ElementTree.fromstring(document)), json_)
    answer = requests.get(url, headers={"Accept": "text/html"}, timeout=60)
    assert answer.status_code == 406 and "application/dicom+xml" in answer.text
    # JSON is what a caller is given that does not choose, or weighs it higher.
    both = f"application/dicom+json;q=0.9, {XML['Accept']};q=0.5"
    for accept in ("*/*", both):
        answer = requests.get(url, headers={"Accept": accept}, timeout=60)
        assert answer.headers["Content-Type"] == "application/dicom+json"


def test_a_study_and_a_series_come_as_images(door):
    url = instance(door, CT)
    series, study = url.split("/instances/")[0], url.split("/series/")[0]
    there = requests.get(f"{study}/instances", headers=JSON, timeout=60).json()
    for accept, form in (('multipart/related; type="image/jpeg"', "JPEG"),
                         ('multipart/related; type="image/png"', "PNG"), ("*/*", "JPEG")):
        for resource in (study, series):
            answer = requests.get(f"{resource}/rendered", headers={"Accept": accept}, timeout=60)
            assert answer.status_code == 200, answer.text
            images = list(related(answer))
            assert 1 <= len(images) <= len(there)
            for kind, location, content_ in images:
                image = Image.open(io.BytesIO(content_))
                assert image.format == form and kind == f"image/{form.lower()}"
                alone = requests.get(location, headers={"Accept": kind}, timeout=60)
                assert alone.content == content_
    small = requests.get(f"{series}/rendered?viewport=32,32", timeout=60)
    assert all(max(Image.open(io.BytesIO(c)).size) == 32 for _, _, c in related(small))
    tagged = requests.get(f"{series}/rendered", timeout=60)
    again = requests.get(f"{series}/rendered", timeout=60,
                         headers={"If-None-Match": tagged.headers["ETag"]})
    assert again.status_code == 304
    for query, field in (("viewport=9,9,1,1,2,2", "viewport"), ("quality=0", "quality"),
                         ("window=1", "window")):
        answer = requests.get(f"{series}/rendered?{query}", timeout=60)
        assert answer.status_code == 400 and field in answer.text
    single = requests.get(f"{study}/rendered", headers={"Accept": "image/jpeg"}, timeout=60)
    assert single.status_code == 406
    thumbnail = requests.get(f"{study}/thumbnail", timeout=60)
    assert max(Image.open(io.BytesIO(thumbnail.content)).size) <= 128


def test_every_frame_is_in_a_rendered_series(door):
    checked = 0
    for url in door.stored:
        found, = requests.get(f"{url}/metadata", headers=JSON, timeout=60).json()
        frames = int(found.get("00280008", {}).get("Value", [1])[0])
        if frames < 2 or "7FE00010" not in found:
            continue
        answer = requests.get(f"{url.split('/instances/')[0]}/rendered?viewport=16,16", timeout=60)
        locations = [at for _, at, _ in related(answer) if at.startswith(f"{url}/")]
        assert locations == [f"{url}/frames/{n + 1}/rendered" for n in range(frames)], url
        checked += 1
        if checked == 3:
            return
    raise AssertionError("the collection has objects of several frames")


def test_what_has_no_image_is_not_rendered(door):
    url = instance(door, "pydicom-bundled/test_files/reportsi.dcm")
    answer = requests.get(f"{url.split('/instances/')[0]}/rendered", timeout=60)
    assert answer.status_code == 406 and "pixels" in answer.text
