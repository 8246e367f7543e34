# dc's few entry points; cargo does the work. Commands go to target/release.
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR = $(DESTDIR)$(PREFIX)/bin
LIBDIR = $(DESTDIR)$(PREFIX)/lib
LIBEXECDIR = $(DESTDIR)$(PREFIX)/libexec/dc
INCLUDEDIR = $(DESTDIR)$(PREFIX)/include
PYTHONDIR ?= $(PREFIX)/lib/dc/python
MANDIR = $(DESTDIR)$(PREFIX)/share/man
RELEASE = $(or $(CARGO_TARGET_DIR),target)/release

.PHONY: build demo check fuzz trust soak bench install clean

build:
	cargo build --locked --release

demo:
	tools/deps --for demo
	examples/ocean/demo

check:
	tools/deps --for check
	.ci/run

# Every decoder, a minute each; FUZZ="--seconds 600 job" gives one of them ten.
FUZZ ?= --seconds 60
fuzz:
	tools/deps --for check
	tools/fuzz $(FUZZ)

# All that proves a promise, with counts and seeds; DC_TRUST=quick for less than a minute of it.
trust:
	tools/deps --for check
	tools/trust

# The same for DC_SOAK_HOURS (2), with new seeds each time.
soak:
	tools/deps --for check
	tools/trust --soak

bench:
	tools/deps --for build
	cargo build --locked --release --workspace
	$(RELEASE)/dc-bench $(BENCH)

# Installs what `make build` left; so that root needs no toolchain. dc-exec gets its rights by hand: contrib/systemd/README.md.
install:
	install -d $(BINDIR) $(LIBDIR) $(LIBEXECDIR) $(INCLUDEDIR)
	install -m 755 $(RELEASE)/dcrun $(RELEASE)/dcinfo $(RELEASE)/dcqueue $(RELEASE)/dccancel $(RELEASE)/dcctl $(BINDIR)
	install -m 755 $(RELEASE)/dcspool $(RELEASE)/dcsched $(RELEASE)/dcd $(BINDIR)
	install -m 755 $(RELEASE)/dc-starter $(LIBEXECDIR)
	install -m 755 $(RELEASE)/dc-exec $(LIBEXECDIR)
	install -m 644 spool/capi/include/dcspool.h $(INCLUDEDIR)
	install -m 644 $(RELEASE)/libdcspool.a $(LIBDIR)
	install -m 755 $(RELEASE)/libdcspool.so $(LIBDIR)/libdcspool.so.0
	ln -sf libdcspool.so.0 $(LIBDIR)/libdcspool.so
	install -D -m 644 spool/capi/python/dcspool.py $(DESTDIR)$(PYTHONDIR)/dcspool.py
	for page in man/*.[1-9]; do \
		install -D -m 644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit; \
	done

clean:
	cargo clean
	$(MAKE) -C examples/ocean clean
	rm -rf out
