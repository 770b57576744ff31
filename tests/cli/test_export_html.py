"""The command that writes a network as one HTML file."""

from support.commands import lines, run


def test_a_network_for_digits_becomes_a_page_with_its_name(folder, tmp_path):
    page = tmp_path / "digits.html"
    checkpoint = folder / "mnist-two-conv.safetensors"
    (written,) = lines("export", checkpoint, "--format", "html", "--output", page)
    assert written == {"file": str(page)}
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "mnist-two-conv" in text
    assert "src=" not in text.split("<script>")[0]
    code, _, err = run("export", checkpoint, "--format", "html", "--output", page)
    assert code == 2 and "--force" in err


def test_a_page_lies_beside_its_checkpoint_where_no_file_is_given(folder):
    checkpoint = folder / "mnist-two-conv.safetensors"
    code, out, _ = run("export", checkpoint, "--format", "html")
    assert code == 0 and "mnist-two-conv.html: open it in a browser" in out
    checkpoint.with_suffix(".html").unlink()


def test_a_network_for_photographs_is_an_error(folder, tmp_path):
    page = tmp_path / "photos.html"
    checkpoint = folder / "cifar10-two-conv.safetensors"
    code, _, err = run("export", checkpoint, "--format", "html", "--output", page)
    assert code == 2 and "for networks that predict digits" in err
    assert not page.exists()
