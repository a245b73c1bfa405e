"""ssl-legacysurvey, the paper's layout and Galaxy10: what is in the files comes out, and nothing else is followed."""

import fcntl
import pickle
from concurrent.futures import ProcessPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import SurveyError
from discovery.readers import open_survey
from discovery.readers.hdf5.galaxy10 import CLASSES, SDSS_CLASSES
from discovery.stamps.stamp import Damaged


@pytest.fixture(scope="module")
def ssl_folder(tmp_path_factory, layouts):
    folder = tmp_path_factory.mktemp("ssl")
    images = [
        layouts.ssl(folder / f"images_npix152_{start:09d}_{start + 6:09d}.h5", 6, start=start)
        for start in (0, 6, 12)
    ]
    return folder, np.concatenate(images)


def test_ssl_stamps_and_columns_are_those_of_the_file(ssl_folder):
    folder, images = ssl_folder
    survey = open_survey(folder)
    stamps = survey.read(0, len(survey))
    table = survey.table()
    assert survey.format == "ssl-legacysurvey"
    assert np.array_equal([stamp.pixels for stamp in stamps], images)
    assert {(stamp.kind, stamp.pixel_scale_arcsec, stamp.survey) for stamp in stamps} == {
        ("nmgy", 0.262, "legacy")
    }
    assert [stamp.object_id for stamp in stamps] == [f"9010-{300000 + i}-{7 * i}" for i in range(18)]
    assert table["object_id"].to_pylist() == [stamp.object_id for stamp in stamps]
    assert table["ra"].to_pylist() == [stamp.ra_deg for stamp in stamps]
    assert table["z_phot_mean"].null_count == 18, "NaN is NULL"
    assert set(table["source_type"].to_pylist()) == {"DEV", "EXP", "SER"}
    with h5py.File(survey.paths[0] / "images_npix152_000000006_000000012.h5") as file:
        assert np.array_equal(np.array(table["flux"].to_pylist()[6:12], np.float32), file["flux"][:])
    assert "18 stamps of 152 x 152" in survey.recognised and "release-brickid-objid" in survey.recognised


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(start=st.integers(-3, 22), length=st.integers(0, 25))
def test_any_slice_is_that_slice_of_the_whole(ssl_folder, start, length):
    survey = open_survey(ssl_folder[0])
    ids = survey.table()["object_id"].to_pylist()
    start = max(start, 0)
    assert [stamp.object_id for stamp in survey.read(start, start + length)] == ids[start : start + length]
    assert survey.table(start, start + length).equals(survey.table().slice(start, length))


def test_missing_and_short_fields_are_told_and_null(tmp_path, layouts):
    layouts.ssl(tmp_path / "a.h5", 4)
    layouts.ssl(tmp_path / "b.h5", 4, start=4, without=("release", "ebv"))
    with h5py.File(tmp_path / "b.h5", "a") as file:
        del file["z_spec"]
        file["z_spec"] = np.zeros(3, np.float32)
    survey = open_survey(tmp_path)
    table = survey.table()
    assert table["object_id"].to_pylist() == [str(i) for i in range(8)], (
        "inds name the objects where release is missing"
    )
    assert table["ebv"].null_count == table["z_spec"].null_count == 4
    assert "b.h5: z_spec has 3 values for 4 stamps" in survey.recognised
    assert survey.table(4, 8).schema == table.schema == survey.table(0, 0).schema


def test_ids_that_repeat_between_files_get_the_file(tmp_path, layouts):
    for region in ("north", "south"):
        (tmp_path / region).mkdir()
        layouts.ssl(tmp_path / region / "images_npix152_000000000_000000003.h5", 3, without=("objid",))
    survey = open_survey(tmp_path)
    ids = survey.table()["object_id"].to_pylist()
    assert len(set(ids)) == 6 and ids[0] == "north/images_npix152_000000000_000000003/0"
    assert "repeats between files" in survey.recognised
    assert open_survey(tmp_path, **survey.options).table().equals(survey.table())


def test_ids_that_repeat_within_a_file_become_file_and_row(tmp_path, layouts):
    layouts.ssl(tmp_path / "a.h5", 3, without=("objid",))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["inds"][...] = [5, 5, 6]
    survey = open_survey(tmp_path / "a.h5")
    assert survey.table()["object_id"].to_pylist() == ["a/0", "a/1", "a/2"]
    assert "inds repeats within a file" in survey.recognised


def test_key_names_the_objects(tmp_path, layouts):
    layouts.ssl(tmp_path / "a.h5", 3)
    assert open_survey(tmp_path / "a.h5", key="brickid").table()["object_id"].to_pylist() == [
        "300000",
        "300001",
        "300002",
    ]
    with pytest.raises(SurveyError, match="no column TARGETID"):
        open_survey(tmp_path / "a.h5", key="TARGETID")


def test_paper_layout(tmp_path, layouts):
    images = layouts.paper(tmp_path / "bgs.h5")
    survey = open_survey(tmp_path / "bgs.h5")
    stamp = survey.read(2, 3)[0]
    assert survey.format == "stamps-hdf5" and len(survey) == 4
    assert np.array_equal(stamp.pixels, images[2])
    assert (stamp.kind, stamp.pixel_scale_arcsec) == ("nmgy", 0.262)
    assert (stamp.ra_deg, stamp.dec_deg) == pytest.approx((150 + 2 / 3, 2 + 2 / 3))


def test_galaxy10_planes_scale_and_class_names(tmp_path, layouts):
    images = layouts.galaxy10(tmp_path / "Galaxy10_DECals.h5")
    survey = open_survey(tmp_path / "Galaxy10_DECals.h5")
    stamp = survey.read(3, 4)[0]
    assert (survey.format, stamp.kind, stamp.pixel_scale_arcsec) == ("galaxy10", "rgb", 0.524)
    assert np.array_equal(np.rint(stamp.pixels * 255), images[3][:, :, ::-1].transpose(2, 0, 1)), (
        "channel 0 is blue"
    )
    table = survey.table()
    assert table["ans_class"].to_pylist() == list(CLASSES)
    assert table["ans"].to_pylist() == list(range(10))
    assert table.slice(2, 3).equals(survey.table(2, 5))


def write_colours(path, side, **columns):
    images = np.random.default_rng(side).integers(0, 256, (10, side, side, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["images"] = images
        for name, values in columns.items():
            file[name] = values


def test_galaxy10_sdss_has_its_own_classes_and_no_scale(tmp_path, layouts):
    write_colours(tmp_path / "Galaxy10.h5", 69, ans=np.arange(10, dtype=np.uint8))
    survey = open_survey(tmp_path / "Galaxy10.h5")
    assert survey.table()["ans_class"].to_pylist() == list(SDSS_CLASSES)
    assert (SDSS_CLASSES[0], SDSS_CLASSES[1], SDSS_CLASSES[6]) == (
        "disk face-on without spiral", "round smooth", "edge-on without bulge",
    )  # fmt: skip
    assert survey.format == "galaxy10-sdss" and survey.read(0, 1)[0].pixel_scale_arcsec is None
    assert open_survey(tmp_path, pixel_scale_arcsec=0.396).read(0, 1)[0].pixel_scale_arcsec == 0.396
    layouts.galaxy10(tmp_path / "Galaxy10_DECals.h5")
    together = open_survey(tmp_path).table()["ans_class"].to_pylist()
    assert sorted(together) == sorted((*CLASSES, *SDSS_CLASSES))


@pytest.mark.parametrize(
    ("side", "columns"),
    [
        (256, {"ans": np.arange(10)}),
        (128, {"ans": np.arange(10), "pxscale": np.full(10, 0.262)}),
        (69, {"label": np.arange(10)}),
    ],
)
def test_numbers_of_other_colour_pictures_are_not_spelled_out(tmp_path, side, columns):
    write_colours(tmp_path / "mine.h5", side, **columns)
    survey = open_survey(tmp_path)
    assert survey.format == "pictures-hdf5" and "ans_class" not in survey.table().column_names
    assert survey.read(0, 1)[0].pixel_scale_arcsec == (0.262 if "pxscale" in columns else None)
    assert "ans" not in columns or "no known list of classes" in survey.recognised


def test_bad_stamps_are_damaged_with_name_and_reason(tmp_path, layouts):
    layouts.ssl(tmp_path / "a.h5", 5)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["images"][0, 1, :77] = np.nan
        file["images"][1] = 0
        file["images"][2, 2] = 0
        file["images"][3, 0, :100] = 0
    found = open_survey(tmp_path / "a.h5").read(0, 5)
    reasons = [stamp.reason if isinstance(stamp, Damaged) else None for stamp in found]
    assert reasons == [
        "11704 of 69312 pixels are not finite",
        "band g is empty",
        "band z is empty",
        "band g covers only 34 % of the stamp",
        None,
    ]
    assert (found[0].object_id, found[0].source) == ("9010-300000-0", "a.h5:0")


def test_a_pixel_without_a_number_is_filled_and_counted(tmp_path, layouts):
    images = layouts.ssl(tmp_path / "a.h5", 1)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["images"][0, 1, 3, 4] = np.nan
    stamp = open_survey(tmp_path / "a.h5").read(0, 1)[0]
    assert np.argwhere(stamp.pixels != images[0]).tolist() == [[1, 3, 4]]
    assert stamp.pixels[1, 3, 4] == pytest.approx((images[0, 1, 2:5, 3:6].sum() - images[0, 1, 3, 4]) / 8, abs=1e-6)
    assert stamp.covered_fraction == 1 - 1 / 152**2


def test_partly_covered_stamp_says_how_much(tmp_path, layouts):
    layouts.ssl(tmp_path / "a.h5", 1)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["images"][0, 1, :38] = 0
    assert open_survey(tmp_path / "a.h5").read(0, 1)[0].covered_fraction == 0.75


def test_a_corrupt_chunk_spoils_only_its_stamp(tmp_path):
    path = tmp_path / "a.h5"
    images = np.random.default_rng(0).normal(size=(5, 3, 64, 64)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, chunks=(1, 3, 64, 64), compression="gzip", fletcher32=True)
        chunk = file["images"].id.get_chunk_info(2)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(b"\xff" * 40)
    found = open_survey(path).read(0, 5)
    assert [isinstance(stamp, Damaged) for stamp in found] == [False, False, True, False, False]
    assert "cannot be read" in found[2].reason


def test_truncated_file_among_good_ones_takes_one_place(tmp_path, layouts):
    for name in ("a", "b"):
        layouts.ssl(tmp_path / f"{name}.h5", 3, start=ord(name))
    (tmp_path / "b.h5").write_bytes((tmp_path / "b.h5").read_bytes()[:100_000])
    survey = open_survey(tmp_path)
    found = survey.read(0, len(survey))
    assert [isinstance(stamp, Damaged) for stamp in found] == [False, False, False, True]
    assert found[3].object_id == "b" and "truncated" in found[3].reason
    assert survey.table()["object_id"].to_pylist()[3] == "b"
    with pytest.raises(SurveyError, match="truncated"):
        open_survey(tmp_path / "b.h5")


def test_of_stamps_that_are_not_square_the_central_square_is_taken_and_told(tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 3, 30, 40)).astype(np.float32)
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file["images"] = images
    survey = open_survey(tmp_path)
    assert np.array_equal(survey.read(1, 2)[0].pixels, images[1, :, :, 5:35])
    assert "30 x 40 pixels (not square: the central square of each is the stamp)" in survey.recognised


def test_absurd_sides_and_unknown_layouts_are_one_clear_error(tmp_path):
    for name, images in (("slit", np.ones((2, 3, 4, 40), "f4")), ("flat", np.ones((2, 30, 30), "f4"))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["images"] = images
    with pytest.raises(SurveyError, match="a side of 4 pixels"):
        open_survey(tmp_path / "slit.h5")
    with pytest.raises(SurveyError, match=r"no stamps of a known layout.*images \(2, 30, 30\)"):
        open_survey(tmp_path / "flat.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(SurveyError, match="cannot be opened as HDF5"):
        open_survey(tmp_path / "text.h5")


@pytest.mark.parametrize("kind", ["soft", "external", "storage", "virtual"])
def test_links_and_foreign_storage_are_not_followed(tmp_path, layouts, kind):
    layouts.ssl(tmp_path / "secret.h5", 2)
    (tmp_path / "raw.bin").write_bytes(b"\1" * (2 * 3 * 152 * 152 * 4))
    shape = (2, 3, 152, 152)
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        if kind == "soft":
            file["elsewhere/images"] = np.ones(shape, "f4")
            file["images"] = h5py.SoftLink("/elsewhere/images")
        elif kind == "external":
            file["images"] = h5py.ExternalLink("secret.h5", "/images")
        elif kind == "storage":
            file.create_dataset(
                "images", shape, "f4", external=[(str(tmp_path / "raw.bin"), 0, h5py.h5f.UNLIMITED)]
            )
        else:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "images", shape)
            file.create_virtual_dataset("images", layout)
    with pytest.raises(SurveyError, match=r"not followed|not opened"):
        open_survey(tmp_path / "bad.h5")


def test_a_linked_column_is_left_out_and_told(tmp_path, layouts):
    layouts.ssl(tmp_path / "secret.h5", 2)
    layouts.ssl(tmp_path / "a.h5", 2, without=("flux",))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["flux"] = h5py.ExternalLink("secret.h5", "/flux")
    survey = open_survey(tmp_path / "a.h5")
    assert "flux" not in survey.table().column_names
    assert "flux is a link to elsewhere" in survey.recognised


def test_a_filter_plugin_is_refused_without_being_looked_for(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_chunk((1, 3, 32, 32))
        create.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((2, 3, 32, 32))
        h5py.h5d.create(file.id, b"images", h5py.h5t.IEEE_F32LE, space, create)
    with pytest.raises(SurveyError, match="filter plugin 32015"):
        open_survey(path)


def test_survives_pickling_and_worker_processes(ssl_folder):
    survey = open_survey(ssl_folder[0])
    first = survey.read(0, 1)[0]
    copy = pickle.loads(pickle.dumps(survey))
    assert copy.read(0, 1)[0].object_id == first.object_id
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(survey.read, (0, 6, 12), (6, 12, 18)))
    ids = [stamp.object_id for part in parts for stamp in part]
    assert ids == survey.table()["object_id"].to_pylist()


def test_a_file_is_read_where_no_lock_is_granted(tmp_path, layouts):
    layouts.ssl(tmp_path / "a.h5", 2)
    with (tmp_path / "a.h5").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert len(open_survey(tmp_path / "a.h5").read(0, 2)) == 2
