//! Names and widths of tiles.

use super::*;

#[test]
fn widths_are_those_of_the_specification() {
    // The example of C2SP tlog-tiles: a tree of 70,000 leaves.
    let width = |level, index| TileId { level, index }.width(70_000);
    assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [256, 112, 0]);
    assert_eq!([width(1, 0), width(1, 1), width(2, 0), width(3, 0), width(63, 0)], [256, 17, 1, 0, 0]);
    let width = |level, index| TileId { level, index }.width(256);
    assert_eq!([width(0, 0), width(1, 0)], [256, 1]);
    assert_eq!(TileId { level: 0, index: u64::MAX }.width(u64::MAX), 0);
}

#[test]
fn paths_have_one_spelling() {
    for (level, index, width, path) in [
        (0, 0, 256, "0/000"),
        (0, 999, 1, "0/999.p/1"),
        (1, 1000, 255, "1/x001/000.p/255"),
        (63, 1_234_067, 256, "63/x001/x234/067"),
        (2, u64::MAX, 256, "2/x018/x446/x744/x073/x709/x551/615"),
    ] {
        let id = TileId { level, index };
        assert_eq!(id.path(width), path);
        assert_eq!(TileId::parse(path), Some((id, width)), "{path}");
        assert!(vouchsafe_tlog_oracle::tile::Tile::from_path(&format!("tile/8/{path}")).is_ok(), "{path}");
    }
    for path in [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "+1/000",
        "0/x000/001",
        "0/001/002",
        "0/x001",
        "0/001.p/0",
        "0/001.p/256",
        "0/001.p/01",
        "0/001.p/",
        "0/001.p/+1",
        "0/001/",
        "0/x18/x446/x744/x073/x709/x551/615",
        "2/x018/x446/x744/x073/x709/x551/616",
        "0/x0001/000",
        "0/a01",
        "0/001.p/1.p/1",
    ] {
        assert_eq!(TileId::parse(path), None, "{path}");
    }
    assert_eq!(TileId::parse(&format!("0/{}000", "x000/".repeat(20))), None);
}
