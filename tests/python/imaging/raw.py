"""DICOM over a bare socket: as fast, as slow and as wrong as a test wants to be."""

import io
import os
import socket
import struct

import pydicom
from pydicom.filebase import DicomIO
from pydicom.uid import generate_uid

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
VERIFICATION = "1.2.840.10008.1.1"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(contexts, title="XIANGYI", calling="RAW", provider=()):
    """A-ASSOCIATE-RQ; contexts are pairs of abstract and transfer syntax, provider the classes
    that the caller is SCP of."""
    body = struct.pack(">HH16s16s32x", 1, 0, title.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, transfer) in enumerate(contexts):
        body += item(0x20, bytes([2 * number + 1, 0, 0, 0]) + item(0x30, abstract.encode())
                     + item(0x40, transfer.encode()))
    roles = b"".join(item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\0\1")
                     for uid in provider)
    body += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4") + roles)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def element(group, number, value):
    return struct.pack("<HHI", group, number, len(value)) + value


def text(value):
    value = value.encode()
    return value + b"\0" * (len(value) % 2)


def command(field, sop_class, *more, data_set=False, message_id=1):
    body = element(0, 0x0002, text(sop_class)) + element(0, 0x0100, struct.pack("<H", field))
    body += element(0, 0x0110, struct.pack("<H", message_id))
    for number, value in more:
        if number < 0x0800:
            body += element(0, number, value)
    body += element(0, 0x0800, struct.pack("<H", 1 if data_set else 0x0101))
    for number, value in more:
        if number > 0x0800:
            body += element(0, number, value)
    return element(0, 0, struct.pack("<I", len(body))) + body


def pdata(context, control, data):
    return struct.pack(">BBIIBB", 4, 0, len(data) + 6, len(data) + 2, context, control) + data


def fragments(context, data, size=16000):
    parts = [data[at:at + size] for at in range(0, len(data), size)] or [b""]
    for number, part in enumerate(parts):
        yield pdata(context, 2 if number == len(parts) - 1 else 0, part)


def store_command(sop_class, instance):
    return command(1, sop_class, (0x0700, struct.pack("<H", 0)), (0x1000, text(instance)),
                   data_set=True)


def an_object(pixels=2000, study=None):
    """UIDs and data set, explicit VR little endian, of a new object with random pixels."""
    dataset = pydicom.Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SECONDARY, generate_uid()
    dataset.PatientID, dataset.PatientName, dataset.Modality = "FAULT", "Fault^Test", "OT"
    dataset.StudyInstanceUID = study or generate_uid()
    dataset.SeriesInstanceUID = dataset.StudyInstanceUID[:-4] + ".1"
    dataset.add_new(0x7FE00010, "OB", os.urandom(pixels + pixels % 2))
    out = io.BytesIO()
    writer = DicomIO(out)
    writer.is_implicit_VR, writer.is_little_endian = False, True
    pydicom.filewriter.write_dataset(writer, dataset)
    return str(dataset.SOPInstanceUID), str(dataset.StudyInstanceUID), out.getvalue()


class Raw:
    """A connection to the node."""

    def __init__(self, node, contexts=(), calling="RAW", timeout=20, provider=()):
        self.socket = socket.create_connection((node.host, node.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if contexts:
            self.socket.sendall(associate_rq(contexts, calling=calling, provider=provider))
            kind, _ = self.pdu()
            assert kind == 2, f"not accepted: PDU type {kind}"

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def pdu(self):
        kind, _, length = struct.unpack(">BBI", self.exactly(6))
        return kind, self.exactly(length)

    def status(self):
        """The next response's status and comment."""
        kind, body = self.pdu()
        if kind == 7:
            raise ConnectionAbortedError(f"A-ABORT, source {body[2]}, reason {body[3]}")
        assert kind == 4, kind
        dataset = pydicom.filereader.read_dataset(
            io.BytesIO(body[6:]), is_implicit_VR=True, is_little_endian=True)
        comment = dataset[0x00000902].value if 0x00000902 in dataset else ""
        return dataset[0x00000900].value, str(comment)

    def echo(self, context=1):
        self.send(pdata(context, 3, command(0x30, VERIFICATION)))
        return self.status()[0]

    def store(self, instance, data, context=1, sop_class=SECONDARY):
        self.send(pdata(context, 3, store_command(sop_class, instance)))
        for part in fragments(context, data):
            self.send(part)
        return self.status()

    def ended(self, within=20):
        """Waits until the node closes; the types of the PDUs that came before."""
        self.socket.settimeout(within)
        kinds = []
        try:
            while True:
                kinds.append(self.pdu()[0])
        except ConnectionError:
            return kinds

    def close(self):
        self.socket.close()
