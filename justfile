# Commands for contributors; `just` lists them. This is only an index: the logic is in scripts/ and xtask, which work
# without just.

[private]
default:
    @just --list --unsorted

# Build everything, start a dev issuer and the broker, perform one real exchange, keep running (--check: exit)
up *args:
    scripts/up {{args}}

# Run every test, as CI does (--quick: without fuzzing and stock OAuth clients)
test *args:
    scripts/test {{args}}

# Build the components and the programs, which black-box tests need
build:
    scripts/build-components
    cargo build

# Run black-box tests whose path contains FILTER
it filter="":
    cargo test -p vouchsafe-tests {{filter}}

# Make the archives of a release (--verify: build them in two folders and compare)
dist *args:
    scripts/dist {{args}}

# Make an OCI image of a release archive (ARCHIVE [OUT])
image *args:
    scripts/image {{args}}

# Measure an exchange (--brief, --policy, --hsm, --seconds N)
bench *args:
    scripts/bench {{args}}

# Fuzz all targets, or the given ones ([--seconds N] [TARGET...])
fuzz *args:
    scripts/fuzz {{args}}

# Run the randomized tests for longer
soak *args:
    scripts/soak {{args}}

# Run several hosts with faults between them (--seconds N, --rounds N, --seed N)
hosts *args:
    tests/hosts/run {{args}}

# Check licenses, sources, duplicates and advisories of dependencies
deny:
    scripts/deny

# Compare the imports of each built component with its snapshot (--bless: write the snapshots)
imports *args:
    cargo xtask imports {{args}}

# Compare wit/deps with the WIT of the locked spin-sdk
wit-deps:
    cargo xtask wit-deps

# Check that every workspace member inherits the lints
lints:
    cargo xtask lints

# Check that modules depend on one another without cycles
modules:
    cargo xtask modules

# Check the build profiles
profiles:
    cargo xtask profiles
