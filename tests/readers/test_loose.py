"""Folders and zips of FITS cutouts and pictures, with and without tables."""

import io
import pickle
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from discovery.errors import StampError, SurveyError
from discovery.files.containers import distinct_names
from discovery.readers import open_survey, read_stamp_bytes, read_stamp_file
from discovery.readers.fits_cutouts import choose_planes, position_in_name
from discovery.sky.image_headers import centre_and_scale
from discovery.stamps.stamp import Damaged, Stamp
from discovery.storage.provenance import contents_fingerprint


def test_cutout_planes_scale_and_position(tmp_path, layouts):
    planes = layouts.planes(64)
    layouts.cutout(tmp_path / "a.fits", planes)
    survey = open_survey(tmp_path)
    stamp = survey.read(0, 1)[0]
    assert (survey.format, stamp.object_id, stamp.kind) == ("fits-cutouts", "a", "nmgy")
    assert np.array_equal(stamp.pixels, planes)
    assert stamp.pixel_scale_arcsec == pytest.approx(0.262)
    assert (stamp.ra_deg, stamp.dec_deg) == pytest.approx((12.5, -1.25))
    assert survey.table().select(["ra", "dec"]).to_pylist() == [{"ra": stamp.ra_deg, "dec": stamp.dec_deg}]
    assert "1 FITS cutout" in survey.recognised and "bands grz (by BANDS)" in survey.recognised


@pytest.mark.parametrize(
    ("bands", "chosen"), [("griz", (0, 1, 3)), ("zrg", (2, 1, 0)), ("gri", (0, 1, 2)), ("grizY", (0, 1, 3))]
)
def test_bands_choose_the_planes(tmp_path, layouts, bands, chosen):
    planes = np.concatenate([layouts.planes(32), layouts.planes(32, seed=1)])[: len(bands)]
    layouts.cutout(tmp_path / "a.fits", planes, bands=bands)
    assert np.array_equal(open_survey(tmp_path).read(0, 1)[0].pixels, planes[list(chosen)])


def test_without_bands_three_planes_are_said_to_be_taken_in_order(tmp_path, layouts):
    layouts.cutout(tmp_path / "a.fits", layouts.planes(32), bands=None)
    assert "no BANDS keyword: taken in this order" in open_survey(tmp_path).recognised


@pytest.mark.parametrize("packing", ["gz", "fz", "double", "scaled"])
def test_other_ways_to_store_a_cutout(tmp_path, layouts, packing):
    planes = layouts.planes(64)
    plain = tmp_path / "plain.fits"
    layouts.cutout(plain, planes)
    header = fits.getheader(plain)
    folder = tmp_path / "packed"
    folder.mkdir()
    if packing == "gz":
        fits.PrimaryHDU(planes, header).writeto(folder / "a.fits.gz")
    elif packing == "fz":
        packed = fits.CompImageHDU(planes, header, compression_type="GZIP_1", quantize_level=0)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / "a.fits.fz")
    elif packing == "double":
        fits.PrimaryHDU(planes.astype(np.float64), header).writeto(folder / "a.fits")
    else:
        scaled = fits.PrimaryHDU(planes.copy(), header)
        scaled.scale("int32", bscale=1e-6, bzero=1.0)
        scaled.writeto(folder / "a.fits")
    stamp = open_survey(folder).read(0, 1)[0]
    assert stamp.object_id == "a"
    assert np.allclose(stamp.pixels, planes, atol=2e-6)
    assert stamp.ra_deg == pytest.approx(12.5)


def test_position_from_the_name_where_there_is_no_wcs(tmp_path, layouts):
    layouts.cutout(tmp_path / "cutout_150.1163213_2.2055735.fits", layouts.planes(32), at=None)
    stamp = open_survey(tmp_path, pixel_scale_arcsec=0.3).read(0, 1)[0]
    assert (stamp.ra_deg, stamp.dec_deg, stamp.pixel_scale_arcsec) == (150.1163213, 2.2055735, 0.3)


@settings(max_examples=200, deadline=None)
@given(
    ra=st.floats(0, 359.9999).map(lambda x: round(x, 7)),
    dec=st.floats(-90, 90).map(lambda x: round(x, 7)),
    signed=st.booleans(),
)
def test_a_position_written_into_a_name_is_read_back(ra, dec, signed):
    name = f"cutout_{ra:.7f}_{dec:+.7f}.fits" if signed else f"{ra:.7f}_{dec:.7f}.jpg"
    assert position_in_name(name) == (ra, pytest.approx(dec))


@pytest.mark.parametrize(
    "name",
    ["galaxy.fits", "J0011-0845.fits", "n1234_5678.fits", "v1.2_cut_10.5_3.5_7.5.fits", "400.1_3.2.jpg"],
)
def test_other_numbers_in_names_are_no_position(name):
    assert position_in_name(name) is None


@settings(max_examples=25, deadline=None)
@given(
    at=st.tuples(st.floats(0, 359.99), st.floats(-89, 89)),
    crpix=st.tuples(st.floats(-50, 150), st.floats(-50, 150)),
    turn=st.floats(0, 360),
    form=st.sampled_from(["cd", "pc", "sip", "galactic"]),
)
def test_centre_and_scale_are_those_of_astropy(layouts, at, crpix, turn, form):
    wcs = layouts.tan(100, *at)
    wcs.wcs.crpix = crpix
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = wcs.wcs.cd @ np.array([[cosine, -sine], [sine, cosine]])
    if form == "galactic":
        wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    header = wcs.to_header()
    if form in ("cd", "sip"):
        for i, j in ((1, 1), (1, 2), (2, 1), (2, 2)):
            header[f"CD{i}_{j}"] = wcs.wcs.cd[i - 1, j - 1]
            header.pop(f"PC{i}_{j}", None)
        del header["CDELT1"], header["CDELT2"]
    if form == "sip":
        header.update(
            {
                "CTYPE1": "RA---TAN-SIP",
                "CTYPE2": "DEC--TAN-SIP",
                "A_ORDER": 2,
                "A_2_0": 1e-5,
                "B_ORDER": 2,
            }
        )
    ra, dec, scale = centre_and_scale(header, 100, 100)
    expected = WCS(header).pixel_to_world(49.5, 49.5).icrs
    assert expected.separation(SkyCoord(ra, dec, unit="deg")).arcsec < 1e-5
    assert scale == pytest.approx(0.262, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: p[:2], "2 planes, but BANDS names 3"),
        (lambda p: p[:, :20], "not square: 20 x 64"),
        (lambda p: np.where(np.arange(64) < 40, 0, p).astype("f4"), "covers only"),
        (lambda p: np.full_like(p, np.nan), "not finite"),
        (lambda p: p[0], "2 dimensions"),
        (lambda p: p[:, :4, :4], "4 pixels"),
    ],
)
def test_bad_cutouts_are_damaged_and_stop_nothing(tmp_path, layouts, make, reason):
    layouts.cutout(tmp_path / "good.fits", layouts.planes(64))
    layouts.cutout(tmp_path / "bad.fits", np.ascontiguousarray(make(layouts.planes(64))), at=None)
    bad, good = open_survey(tmp_path).read(0, 2)
    assert isinstance(good, Stamp) and isinstance(bad, Damaged)
    assert (bad.object_id, bad.source) == ("bad", "bad.fits") and reason in bad.reason


def test_missing_bands():
    with pytest.raises(StampError, match="bands are missing: the file has g r Y"):
        choose_planes(("g", "r", "Y"), 3)
    with pytest.raises(StampError, match="4 planes and no BANDS"):
        choose_planes(None, 4)


def test_a_cutout_that_announces_an_absurd_size_is_refused_by_its_header(tmp_path, layouts):
    header = fits.Header()
    for key, value in (
        ("SIMPLE", True),
        ("BITPIX", -32),
        ("NAXIS", 3),
        ("NAXIS1", 60000),
        ("NAXIS2", 60000),
        ("NAXIS3", 3),
    ):
        header[key] = value
    (tmp_path / "a.fits").write_bytes(header.tostring().encode() + b"\0" * 2880)
    with pytest.raises(SurveyError, match=r"no stamp can be read; the first, a.fits: .*60000 pixels"):
        open_survey(tmp_path)
    layouts.cutout(tmp_path / "b.fits", layouts.planes(32))
    assert "60000 pixels" in open_survey(tmp_path).read(0, 1)[0].reason


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(0, 50_000),
    flips=st.lists(st.tuples(st.integers(0, 49_999), st.integers(0, 255)), max_size=20),
)
def test_damaged_bytes_give_a_stamp_or_a_reason(layouts, fuzz_files, length, flips):
    for name, data in fuzz_files.items():
        spoiled = bytearray(data[:length])
        for position, value in flips:
            if position < len(spoiled):
                spoiled[position] = value
        with suppress(StampError):
            assert read_stamp_bytes(bytes(spoiled), name).pixels.shape[0] == 3


@pytest.fixture(scope="module")
def fuzz_files(layouts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    layouts.cutout(folder / "a.fits", layouts.planes(48))
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    packed = fits.CompImageHDU(
        layouts.planes(48), fits.getheader(folder / "a.fits"), compression_type="RICE_1"
    )
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / "b.fits.fz")
    return {
        "a.fits": (folder / "a.fits").read_bytes(),
        "b.fits.fz": (folder / "b.fits.fz").read_bytes(),
        "a.jpg": layouts.picture(picture, "JPEG"),
        "a.png": layouts.picture(picture, "PNG"),
    }


def test_pictures_are_blue_first_and_lie_between_0_and_1(tmp_path, layouts):
    pictures = layouts.pictures(tmp_path, ["b.png", "a.png"])
    survey = open_survey(tmp_path)
    stamps = survey.read(0, 2)
    assert survey.format == "images" and [stamp.object_id for stamp in stamps] == ["a", "b"]
    assert np.array_equal(np.rint(stamps[1].pixels * 255), pictures["b.png"][:, :, ::-1].transpose(2, 0, 1))
    assert stamps[0].kind == "rgb" and stamps[0].pixel_scale_arcsec is None
    assert "pixel scale not known" in survey.recognised
    assert (
        open_survey(tmp_path, pixel_scale_arcsec=0.396, survey="sdss").read(0, 1)[0].pixel_scale_arcsec
        == 0.396
    )


@pytest.mark.parametrize(
    ("picture", "kind", "reason"),
    [
        (np.zeros((20, 20), np.uint8), "PNG", "empty"),
        (np.zeros((20, 20, 3), np.uint8), "JPEG", "empty"),
        (np.zeros((4, 30, 3), np.uint8), "PNG", "a side of 4 pixels"),
    ],
)
def test_bad_pictures_are_damaged(tmp_path, layouts, picture, kind, reason):
    layouts.pictures(tmp_path, ["z.png"])
    (tmp_path / "a.png").write_bytes(layouts.picture(picture, kind))
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    found = open_survey(tmp_path).read(0, 3)
    assert (
        reason in found[0].reason
        and found[1].reason == "an empty file"
        and "cannot be decoded" in found[2].reason
    )


GREY = np.random.default_rng(3).integers(0, 256, (20, 20), dtype=np.uint8)
COLOURS = np.random.default_rng(4).integers(0, 256, (20, 20, 3), dtype=np.uint8)
SPLIT = np.repeat([[[200, 100, 40]], [[20, 60, 90]]], [8, 12], axis=0).astype(np.uint8).repeat(20, axis=1)
HALF = np.linspace(0, 255, 400).astype(np.uint8).reshape(20, 20)


@pytest.mark.parametrize(
    ("image", "kind", "right", "within"),
    [
        (Image.fromarray(GREY), "PNG", GREY[..., None] / 255, 1e-6),
        (Image.fromarray(GREY.astype(np.uint16) * 257), "PNG", GREY[..., None] / 255, 1e-6),
        (Image.fromarray(GREY > 99), "PNG", (GREY > 99)[..., None], 1e-6),
        (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(HALF)]), "PNG", (GREY / 255 * (HALF / 255))[..., None], 1e-6),
        (Image.fromarray(np.dstack([COLOURS, HALF])), "PNG", COLOURS / 255 * (HALF[..., None] / 255), 1e-6),
        (Image.fromarray(np.dstack([COLOURS, np.full_like(HALF, 255)])), "PNG", COLOURS / np.float32(255), 0),
        (Image.fromarray(COLOURS // 128 * 255).quantize(8), "PNG", COLOURS // 128, 1e-6),
        (Image.fromarray(HALF), "JPEG", HALF[..., None] / 255, 0.05),
        (Image.fromarray(SPLIT).convert("CMYK"), "JPEG", SPLIT / 255, 0.1),
    ],
    ids=["L", "I;16", "1", "LA", "RGBA", "opaque", "P", "L jpeg", "CMYK"],
)  # fmt: skip
def test_pictures_of_every_mode(tmp_path, image, kind, right, within):
    path = tmp_path / ("a.png" if kind == "PNG" else "a.jpg")
    image.save(path, kind, **({"quality": 95} if kind == "JPEG" else {}))
    expected = np.broadcast_to(right, (20, 20, 3))[:, :, ::-1].transpose(2, 0, 1)
    survey = open_survey(tmp_path)
    grey = right.shape[-1] == 1
    assert ("1 of 1 looked at are grey: their one band is repeated" in survey.recognised) == grey
    for stamp in (survey.read(0, 1)[0], read_stamp_file(path)):
        assert stamp.pixels.shape == (3, 20, 20) and stamp.pixels.dtype == np.float32
        assert np.abs(stamp.pixels - expected).max() <= within
        assert np.array_equal(stamp.pixels[0], stamp.pixels[2]) == grey


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_lie_as_viewers_show_them(tmp_path, kind, orientation):
    picture = Image.fromarray(np.kron(np.arange(25).reshape(5, 5) * 10, np.ones((8, 8))).astype(np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a.{kind}", exif=exif)
    with Image.open(tmp_path / f"a.{kind}") as saved:
        shown = np.asarray(ImageOps.exif_transpose(saved))
    assert np.array_equal(np.rint(read_stamp_file(tmp_path / f"a.{kind}").pixels * 255)[::-1].transpose(1, 2, 0), shown)


def test_damaged_exif_spoils_no_picture(layouts):
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffnonsense")
    found = read_stamp_bytes(buffer.getvalue(), "a.png")
    assert np.array_equal(np.rint(found.pixels * 255)[::-1].transpose(1, 2, 0), picture)


def test_of_pictures_that_are_not_square_the_central_square_is_taken_and_told(tmp_path, layouts):
    picture = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(layouts.picture(picture))
    survey = open_survey(tmp_path)
    assert np.array_equal(np.rint(survey.read(0, 1)[0].pixels * 255)[::-1].transpose(1, 2, 0), picture[:, 5:35])
    assert "1 of 1 looked at are not square: their central square is the stamp" in survey.recognised


def test_real_pictures_of_one_band(shared_data):
    survey = open_survey(shared_data / "euclid")
    stamps = survey.read(0, 20)
    assert all(isinstance(stamp, Stamp) and np.array_equal(stamp.pixels[0], stamp.pixels[1]) for stamp in stamps)
    assert "64 of 64 looked at are grey" in survey.recognised and "label" in survey.table(0, 1).column_names


def test_a_picture_that_announces_an_absurd_size_is_not_decoded(layouts):
    data = bytearray(layouts.picture(np.zeros((8, 8, 3), np.uint8)))
    data[16:24] = (30000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(StampError, match=r"30000 pixels|exceeds limit"):
        read_stamp_bytes(bytes(data), "bomb.png")


def test_zip_members_are_read_in_memory_and_odd_ones_refused(tmp_path, layouts, monkeypatch):
    monkeypatch.setattr("discovery.files.containers.MAX_FILE_BYTES", 1 << 20)
    good = layouts.picture(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8))
    with zipfile.ZipFile(tmp_path / "stamps.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("in/a.png", "../b.png", "/c.png", "__MACOSX/in/._a.png", "readme.txt"):
            archive.writestr(name, good)
        archive.writestr("huge.png", b"\0" * (2 << 20))
    survey = open_survey(tmp_path / "stamps.zip")
    found = {stamp.object_id: stamp for stamp in survey.read(0, len(survey))}
    assert set(found) == {"a", "b", "c", "huge"}
    assert isinstance(found["a"], Stamp)
    assert "leads out of the archive" in found["b"].reason and "leads out of the archive" in found["c"].reason
    assert "at most" in found["huge"].reason
    assert pickle.loads(pickle.dumps(survey)).read(3, 4)[0].object_id == "a"


def test_one_unusable_picture_among_hdf5_files_stops_nothing(tmp_path, layouts):
    layouts.ssl(tmp_path / "images_npix64_0.h5", 4, side=64)
    (tmp_path / "overview.png").write_bytes(layouts.picture(np.full((60, 90, 3), 200, np.uint8)))
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and no more")
    survey = open_survey(tmp_path)
    found = {stamp.object_id: stamp for stamp in survey.read(0, len(survey))}
    assert len(found) == 6 and sum(isinstance(stamp, Stamp) for stamp in found.values()) == 4
    assert found["overview"].source == "overview.png" and isinstance(found["overview"], Damaged)
    assert "cannot be opened as a zip archive" in found["broken"].reason and "Not used: broken.zip" in survey.recognised
    again = open_survey(tmp_path, **survey.options)
    assert again.table().equals(survey.table())


def test_one_unusable_hdf5_file_among_pictures_stops_nothing(tmp_path, layouts):
    layouts.pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "notes.h5").write_bytes(b"no HDF5")
    survey = open_survey(tmp_path)
    *good, bad = survey.read(0, 3)
    assert [stamp.object_id for stamp in good] == ["a", "b"] and all(isinstance(stamp, Stamp) for stamp in good)
    assert (bad.object_id, bad.source) == ("notes", "notes.h5") and "cannot be opened as HDF5" in bad.reason


def test_where_nothing_can_be_used_the_first_reason_is_the_error(tmp_path, layouts):
    (tmp_path / "notes.h5").write_bytes(b"no HDF5")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(SurveyError, match=r"no stamp can be read; the first, a.png: .*cannot be decoded"):
        open_survey(tmp_path)


def zip_of(path, *members):
    """Write an archive whose members are named exactly so."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, data)


def test_backslashes_of_windows_are_folders(tmp_path, layouts):
    pictures = layouts.pictures(tmp_path / "made", [f"g{number}.png" for number in range(12)])
    members = [(f"lenses\\{name}", layouts.picture(picture)) for name, picture in pictures.items()]
    odd = [("lenses\\", b""), ("..\\out.png", members[0][1]), ("__MACOSX\\._g0.png", b"no picture")]
    zip_of(tmp_path / "stamps.zip", *members, *odd)
    survey = open_survey(tmp_path / "stamps.zip")
    found = {stamp.object_id: stamp for stamp in survey.read(0, len(survey))}
    assert set(found) == {*(f"g{number}" for number in range(12)), "out"}
    assert "leads out of the archive" in found["out"].reason
    assert np.array_equal(np.rint(found["g7"].pixels * 255)[::-1].transpose(1, 2, 0), pictures["g7.png"])
    assert "stamps.zip/lenses/g7.png" in survey.table()["source"].to_pylist()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a.png", "a.png"), ("in\\a.png", "in/a.png")])
def test_a_member_that_is_there_twice_is_one_stamp_and_told(tmp_path, layouts, names):
    older, newer = (layouts.picture(layouts.pictures(tmp_path / "made", ["a.png"], side=side)["a.png"]) for side in (30, 40))
    zip_of(tmp_path / "stamps.zip", (names[0], older), (names[1], newer))
    survey = open_survey(tmp_path / "stamps.zip")
    assert [stamp.pixels.shape[1] for stamp in survey.read(0, 5)] == [40]
    assert "stamps.zip holds 1 members more than once, of which the last counts" in survey.recognised


def test_a_table_inside_a_zip_is_told(tmp_path, layouts):
    picture = layouts.picture(layouts.pictures(tmp_path / "made", ["a.png"])["a.png"])
    zip_of(tmp_path / "stamps.zip", ("s/a.png", picture), ("s/labels.csv", b"file,label\na.png,ring\n"))
    survey = open_survey(tmp_path / "stamps.zip")
    assert "stamps.zip holds the table s/labels.csv, which is not used" in survey.recognised
    assert "label" not in survey.table().column_names


def test_a_damaged_zip_is_one_clear_error(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(SurveyError, match="cannot be opened as a zip archive"):
        open_survey(tmp_path / "a.zip")


def test_links_out_of_the_folder_are_refused_and_linked_folders_not_entered(tmp_path, layouts):
    layouts.pictures(tmp_path / "outside", ["secret.png"])
    layouts.pictures(tmp_path / "survey", ["a.png"])
    (tmp_path / "survey" / "b.png").symlink_to(tmp_path / "outside" / "secret.png")
    (tmp_path / "survey" / "c.png").symlink_to(tmp_path / "survey" / "a.png")
    (tmp_path / "survey" / "more").symlink_to(tmp_path / "outside")
    survey = open_survey(tmp_path / "survey")
    a, b, c = survey.read(0, 3)
    assert isinstance(a, Stamp) and isinstance(c, Stamp)
    assert "symbolic link" in b.reason
    assert "Linked folders were not followed: more (see --follow-links)." in survey.recognised


def test_links_are_followed_where_that_is_wanted(tmp_path, layouts):
    pictures = layouts.pictures(tmp_path / "outside", ["b.png", "deep/d.png"])
    layouts.pictures(tmp_path / "survey", ["a.png"])
    (tmp_path / "survey" / "c.png").symlink_to(tmp_path / "outside" / "b.png")
    (tmp_path / "survey" / "more").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "deep" / "round").symlink_to(tmp_path / "survey")
    layouts.ssl(tmp_path / "outside" / "far.h5", 3, side=40)
    (tmp_path / "survey" / "near.h5").symlink_to(tmp_path / "outside" / "far.h5")
    (tmp_path / "labels.csv").write_text("file,label\na.png,ring\nb.png,disk\nc.png,disk\n")
    (tmp_path / "survey" / "labels.csv").symlink_to(tmp_path / "labels.csv")
    survey = open_survey(tmp_path / "survey", follow_links=True)
    assert len(survey) == 3 + 4 and all(isinstance(stamp, Stamp) for stamp in survey.read(0, 7))
    found = {stamp.object_id: stamp for stamp in survey.read(0, 7)}
    assert np.array_equal(np.rint(found["d"].pixels * 255)[::-1].transpose(1, 2, 0), pictures["deep/d.png"])
    assert "ring" in survey.table()["label"].to_pylist()
    assert survey.options["follow_links"] and open_survey(tmp_path / "survey", **survey.options).table().equals(survey.table())
    assert "follow_links" not in open_survey(tmp_path / "survey").options
    before = [contents_fingerprint([tmp_path / "survey"], follow_links=follow) for follow in (True, False)]
    layouts.pictures(tmp_path / "outside", ["deep/d.png"], side=50)
    after = [contents_fingerprint([tmp_path / "survey"], follow_links=follow) for follow in (True, False)]
    assert (before[0] == after[0], before[1] == after[1]) == (False, True)


def test_links_are_followed_only_into_folders_that_may_be_read(tmp_path, layouts):
    for name in ("mine", "theirs"):
        layouts.pictures(tmp_path / name, [f"{name}.png"])
    layouts.pictures(tmp_path / "survey", ["a.png"])
    for name in ("mine", "theirs"):
        (tmp_path / "survey" / f"{name}.png").symlink_to(tmp_path / name / f"{name}.png")
    survey = open_survey(tmp_path / "survey", follow_links=True, links_into=[tmp_path / "mine"])
    a, mine, theirs = survey.read(0, 3)
    assert isinstance(a, Stamp) and isinstance(mine, Stamp)
    assert isinstance(theirs, Damaged) and "leads out of the folder" in theirs.reason


def test_files_of_one_name_are_named_by_their_path(tmp_path, layouts):
    layouts.pictures(tmp_path, ["x/a.png", "y/a.png", "b.png"])
    survey = open_survey(tmp_path)
    assert survey.table()["object_id"].to_pylist() == ["b", "x/a", "y/a"]
    assert "2 files share their name" in survey.recognised


NAME_PARTS = (
    ("", "a/", "b/", "b/a/"),
    ("a", "b"),
    ("", ".png", ".jpg", ".b"),
    (".png", ".jpg", ".fits", ".fits.gz"),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*map(st.sampled_from, NAME_PARTS)).map("".join), unique=True))
def test_names_are_always_distinct(names):
    distinct, _ = distinct_names(names)
    assert len(set(distinct)) == len(names)


def rows_for(names):
    return {
        "object_id": [f"id{i}" for i in range(len(names))],
        "file": names,
        "ra": [10.0 + i for i in range(len(names))],
        "dec": [1.0] * len(names),
        "grade": ["=A"] * len(names),
    }


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "fits", "vot"])
def test_a_table_of_any_kind_gives_ids_positions_and_columns(tmp_path, layouts, suffix):
    layouts.pictures(tmp_path / "survey", ["a.png", "b.png", "c.png"])
    path = tmp_path / f"table.{suffix}"
    formats = {"csv": "ascii.csv", "tsv": "ascii.tab", "parquet": "parquet", "fits": "fits", "vot": "votable"}
    if suffix == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table(rows_for(["b.png", "a.png"])), path)
    else:
        Table(rows_for(["b.png", "a.png"])).write(path, format=formats[suffix])
    survey = open_survey(tmp_path / "survey", table=path)
    table = survey.table()
    assert table["object_id"].to_pylist() == ["id1", "id0", "c"]
    assert table["ra"].to_pylist() == [11.0, 10.0, None]
    assert table["grade"].to_pylist() == ["=A", "=A", None]
    assert [stamp.ra_deg for stamp in survey.read(0, 3)] == [11.0, 10.0, None]
    assert "lines for 2 of 3 stamps" in survey.recognised
    assert open_survey(tmp_path / "survey", **survey.options).table().equals(table)


def test_the_one_table_beside_the_stamps_is_used_when_its_keys_match(tmp_path, layouts):
    layouts.pictures(tmp_path, ["007.png", "008.png"], zipped=True)
    (tmp_path / "labels.csv").write_text("name,label\n007,ring\n008,spiral\n009,none\n")
    survey = open_survey(tmp_path)
    assert survey.table()["label"].to_pylist() == ["ring", "spiral"]
    assert "labels.csv (the one beside the stamps), key name" in survey.recognised
    assert "1 lines without a stamp" in survey.recognised
    assert "label" not in open_survey(tmp_path, table="none").table().column_names
    assert open_survey(tmp_path / "stamps.zip").table().equals(survey.table())


def test_tables_that_do_not_match_or_are_several_are_not_used_and_it_is_said(tmp_path, layouts):
    layouts.pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "one.csv").write_text("name,label\nx,ring\n")
    assert "one.csv beside the stamps names 0 of 2: not used" in open_survey(tmp_path).recognised
    (tmp_path / "two.csv").write_text("name,label\na,ring\nb,ring\n")
    survey = open_survey(tmp_path)
    assert (
        "2 tables lie beside the stamps" in survey.recognised and "label" not in survey.table().column_names
    )
    with pytest.raises(SurveyError, match="names any of the 2 stamps"):
        open_survey(tmp_path, table=tmp_path / "one.csv")


def test_repeated_keys_and_ids_are_told(tmp_path, layouts):
    layouts.pictures(tmp_path, ["a.png", "b.png"])
    table = tmp_path / "t.csv"
    table.write_text("file,label\na.png,first\na.png,second\nb.png,ring\n")
    survey = open_survey(tmp_path)
    assert survey.table()["label"].to_pylist() == ["first", "ring"] and "1 repeated keys" in survey.recognised
    table.write_text("object_id,file\nx,a.png\nx,b.png\n")
    with pytest.raises(SurveyError, match="object_id repeats"):
        open_survey(tmp_path)


def test_clashing_column_names_are_kept_under_a_number(tmp_path, layouts):
    layouts.pictures(tmp_path, ["a.png"])
    (tmp_path / "t.csv").write_text("file,source,RA,Dec,Grade,grade\na.png,SDSS,10,2,A,B\n")
    row = open_survey(tmp_path).table().to_pylist()[0]
    assert row == {"object_id": "a", "ra": 10.0, "dec": 2.0, "source": "a.png", "file": "a.png", "source_2": "SDSS",
                   "Grade": "A", "grade_2": "B"}  # fmt: skip


@pytest.mark.parametrize("text", ["", "a,a\n1,2\n", "file,x\na.png\n"])
def test_a_damaged_table_is_one_clear_error(tmp_path, layouts, text):
    layouts.pictures(tmp_path, ["a.png"])
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SurveyError, match="table"):
        open_survey(tmp_path, table=tmp_path / "t.csv")


def test_several_paths_of_several_formats_are_one_survey(tmp_path, layouts):
    layouts.pictures(tmp_path / "p", ["a.png", "b.png"])
    (tmp_path / "p" / "t.csv").write_text("file,label\na.png,ring\nb.png,bar\n")
    layouts.pictures(tmp_path / "q", ["a.png"])
    (tmp_path / "q" / "t.csv").write_text("file,grade\na.png,3\n")
    layouts.ssl(tmp_path / "s.h5", 2)
    layouts.cutout(tmp_path / "c.fits", layouts.planes(32))
    paths = [tmp_path / "p", tmp_path / "s.h5", tmp_path / "c.fits", tmp_path / "q"]
    survey = open_survey(paths)
    table = survey.table()
    ids = table["object_id"].to_pylist()
    assert survey.format == "joined" and len(survey) == len(set(ids)) == 6
    assert [stamp.object_id for stamp in survey.read(0, 6)] == ids
    assert [stamp.object_id for stamp in survey.read(1, 4)] == ids[1:4]
    assert (
        sorted(filter(None, table["label"].to_pylist())) == ["bar", "ring"] and table["grade"].null_count == 5
    )
    assert table.slice(1, 3).equals(survey.table(1, 4))
    assert open_survey(paths, **(survey.options | {"table": "none"})).table().equals(table)


@pytest.mark.parametrize("what", ["missing", "empty", "text", "other"])
def test_what_is_no_survey_is_one_clear_error(tmp_path, what):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    path = {"missing": "nowhere", "empty": "empty", "text": "text.txt", "other": "other"}[what]
    with pytest.raises(SurveyError, match=r"does not exist|is no survey") as caught:
        open_survey(tmp_path / path)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_fit():
    for options in ({"survey": "euclid"}, {"pixel_scale_arcsec": -1}, {"select": "best"}, {"side_pixels": 3}):
        with pytest.raises(SurveyError):
            open_survey("anything", **options)


def test_one_stamp_as_a_prompt(tmp_path, layouts):
    layouts.cutout(tmp_path / "a.fits", layouts.planes(64))
    stamp = read_stamp_file(tmp_path / "a.fits")
    assert (stamp.object_id, stamp.kind) == ("a", "nmgy")
    data = (tmp_path / "a.fits").read_bytes()
    assert np.array_equal(read_stamp_bytes(data, "C:\\fakepath\\whatever.jpg").pixels, stamp.pixels), (
        "content decides"
    )
    with pytest.raises(StampError, match="at most 100 are read"):
        read_stamp_bytes(data, "a.fits", max_bytes=100)
    with pytest.raises(StampError, match="neither FITS nor JPEG nor PNG"):
        read_stamp_bytes(b"GIF89a", "a.gif")
    with pytest.raises(StampError, match="does not exist"):
        read_stamp_file(tmp_path / "none.fits")


def test_a_fits_table_among_cutouts_is_a_table_not_a_stamp(tmp_path, layouts):
    for name in "ab":
        layouts.cutout(tmp_path / f"{name}.fits", layouts.planes(32))
    Table({"name": ["a", "b"], "grade": [1, 2]}).write(tmp_path / "grades.fits")
    survey = open_survey(tmp_path)
    assert survey.table()["object_id"].to_pylist() == ["a", "b"]
    assert survey.table()["grade"].to_pylist() == [1, 2]
    with pytest.raises(SurveyError, match="holds no image"):
        open_survey(tmp_path / "grades.fits", table="none")


def test_positions_that_are_no_degrees_are_told(tmp_path, layouts):
    layouts.pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "t.csv").write_text("file,ra,dec\na.png,12:77:00,1\nb.png,12.5,1\n")
    survey = open_survey(tmp_path)
    assert "1 lines whose ra and dec are no position" in survey.recognised
    assert survey.table()["ra"].to_pylist() == [None, 12.5]


def test_real_zip_and_table(shared_data):
    survey = open_survey(shared_data / "efigi")
    stamps = survey.read(100, 110)
    assert len(survey) == 3143 and all(stamp.pixels.shape == (3, 88, 88) for stamp in stamps)
    with zipfile.ZipFile(shared_data / "efigi" / "stamps.zip") as archive:
        name = survey.table(100, 101)["file"][0].as_py()
        picture = np.asarray(Image.open(io.BytesIO(archive.read(name))))
    assert np.array_equal(np.rint(stamps[0].pixels * 255)[::-1].transpose(1, 2, 0), picture)


def test_real_cutouts_with_truncated_and_spoiled_ones(shared_data):
    survey = open_survey(shared_data / "fits_cutouts")
    found = survey.read(0, len(survey))
    damaged = {stamp.object_id: stamp.reason for stamp in found if isinstance(stamp, Damaged)}
    assert len(found) == 22 and sorted(damaged) == [
        "zooniverse_decals__example_bad_pix",
        "zooniverse_decals__example_incomplete",
        "zooniverse_decals__example_incomplete_backup",
    ]
    assert "truncated" in damaged["zooniverse_decals__example_incomplete"]
    assert "band g covers only 24 %" in damaged["zooniverse_decals__example_bad_pix"]
    for stamp in found:
        if isinstance(stamp, Stamp) and (named := position_in_name(stamp.object_id)):
            assert (stamp.ra_deg, stamp.dec_deg) == pytest.approx(named, abs=1e-6)


def table_with(names, *, column="file"):
    return f"{column},ra,dec\n" + "".join(f"{name},{150 + number},2\n" for number, name in enumerate(names))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("._labels.csv", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ", ""),
        ("mac.csv", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ", "mac.csv is no table (a side file of macOS)"),
        ("a.png.aux.xml", b"<PAMDataset><Metadata/></PAMDataset>", "a.png.aux.xml is no table (xml, but no VOTable)"),
        ("notes.csv", b"", "notes.csv is no table (empty)"),
        ("blank.tsv", b"\xef\xbb\xbf \r\n\n", "blank.tsv is no table (empty)"),
        ("t.parquet", b"PAR1 and no more", "t.parquet beside the stamps is left: the table"),
        ("ragged.csv", b"a,b\n1,2,3\n", "ragged.csv beside the stamps is left: the table"),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_files_that_are_no_tables_are_told_and_left(tmp_path, layouts, name, content, why, labelled):
    layouts.pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / name).write_bytes(content)
    if labelled:
        (tmp_path / "labels.csv").write_text(table_with(["a.png", "b.png"]))
    survey = open_survey(tmp_path)
    assert why in survey.recognised
    assert survey.table()["ra"].to_pylist() == ([150.0, 151.0] if labelled else [None, None])
    assert survey.table().equals(open_survey(tmp_path, **survey.options).table())


def test_paths_of_another_machine_name_stamps_by_their_end(tmp_path, layouts):
    layouts.pictures(tmp_path / "survey", ["a.png", "b.png", "x/c.png", "y/c.png"])
    elsewhere = ["/share/nas/images/a.png", "C:\\images\\b.png", "/share/x/c.png", "/share/y/c.png"]
    (tmp_path / "t.csv").write_text(table_with(elsewhere, column="file_loc"))
    assert open_survey(tmp_path / "survey", table=tmp_path / "t.csv").table()["ra"].to_pylist() == [150.0, 151.0, 152.0, 153.0]
    (tmp_path / "t.csv").write_text(table_with(["/one/a.png", "/two/a.png", "/share/b.png", "/nas/c.png"], column="file_loc"))
    assert open_survey(tmp_path / "survey", table=tmp_path / "t.csv").table()["ra"].to_pylist() == [None, 152.0, None, None]


def test_a_key_that_is_given_insists(tmp_path, layouts):
    layouts.pictures(tmp_path, ["000012.png", "000013.png", "100015.png"])
    (tmp_path / "t.csv").write_text(table_with(["000012", "000099", "000098"], column="stamp"))
    assert "names 1 of 3: not used" in open_survey(tmp_path).recognised
    survey = open_survey(tmp_path, key="stamp")
    assert survey.table()["ra"].to_pylist() == [150.0, None, None]
    assert survey.table()["stamp"].to_pylist() == ["000012", None, None]
    (tmp_path / "t.csv").write_text(table_with(["12", "13", "15"], column="stamp"))
    with pytest.raises(SurveyError, match=r"column stamp of t\.csv names none of the 3 stamps"):
        open_survey(tmp_path, key="stamp")
    (tmp_path / "other.csv").write_text("id,kind\n000012,ring\n")
    (tmp_path / "t.csv").write_text(table_with(["000012", "000013", "100015"], column="stamp"))
    assert open_survey(tmp_path, key="stamp").table()["ra"].to_pylist() == [150.0, 151.0, 152.0]


def test_stamps_that_lie_elsewhere_than_their_table_says_are_a_warning(tmp_path, layouts):
    layouts.pictures(tmp_path, ["cutout_150.1000_2.0000.png", "cutout_150.2000_2.0000.png", "c.png"])
    names = ["cutout_150.1000_2.0000.png", "cutout_150.2000_2.0000.png", "c.png"]
    (tmp_path / "t.csv").write_text("file,ra,dec\n" + "".join(f"{name},{ra},2\n" for name, ra in zip(names, (150.1, 150.2, 150.3), strict=True)))
    assert "WARNING" not in open_survey(tmp_path).recognised
    (tmp_path / "t.csv").write_text("file,ra,dec\n" + "".join(f"{name},{ra},2\n" for name, ra in zip(names, (150.1, 151.2, 150.3), strict=True)))
    survey = open_survey(tmp_path)
    assert "WARNING: 1 of the first 2 stamps with a line in t.csv lie elsewhere" in survey.recognised
    assert survey.table()["ra"].to_pylist() == [150.3, 150.1, 151.2]
