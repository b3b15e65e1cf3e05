#!/bin/sh
# deb.sh - what `make deb` runs: a Debian package of what `make install` installs, and lintian on it.
#
# Usage: deb.sh FOLDER   Environment: VERSION, MAKE; SOURCE_DATE_EPOCH and MAINTAINER are the
# last commit's time and author.  The same commit and compiler make the same package, byte by byte.
# SPDX-License-Identifier: MIT
set -eu
umask 022
here=$PWD
out=$(realpath -m "$1")
root=$out/root
arch=$(dpkg-architecture -qDEB_HOST_ARCH)
version=${VERSION:?}-0local1 # sorts before the first revision of Debian's own, 1
deb=$out/terra_${version}_$arch.deb
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
maintainer=${MAINTAINER:-$(git log -1 --format='%an <%ae>')}
year=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y)
export SOURCE_DATE_EPOCH

# Objects of its own, with Debian's flags; optimization stays the Makefile's.
export DEB_CFLAGS_MAINT_STRIP='-g -O2' DEB_BUILD_MAINT_OPTIONS=hardening=+bindnow
rm -rf "$root" "$out/debian" "$out"/*.deb
mkdir -p "$root/DEBIAN" "$out/debian"
${MAKE:-make} --no-print-directory B="$1/build" PREFIX=/usr DESTDIR="$root" \
    CFLAGS="$(dpkg-buildflags --get CFLAGS)" CPPFLAGS="$(dpkg-buildflags --get CPPFLAGS)" \
    LDFLAGS="$(dpkg-buildflags --get LDFLAGS)" install

cd "$root/usr"
strip --remove-section=.comment --remove-section=.note bin/terra
mv share/zsh/site-functions share/zsh/vendor-completions # where Debian's zsh looks
gzip -9n share/man/man?/*
cat >share/doc/terra/copyright <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: terra
Upstream-Contact: $maintainer

Files: *
Copyright: $year the authors of terra
License: Expat

Files: data/model/*
Copyright: $year the authors of terra, and those of the training data
License: training-data
 The models carry the licences of their training data, which
 /usr/share/doc/terra/MODEL.md lists with its sources.

License: Expat
 Permission is hereby granted, free of charge, to any person obtaining a copy
 of this software and associated documentation files (the "Software"), to deal
 in the Software without restriction, including without limitation the rights
 to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 copies of the Software, and to permit persons to whom the Software is
 furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in all
 copies or substantial portions of the Software.
 .
 THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 SOFTWARE.
END
gzip -9n >share/doc/terra/changelog.Debian.gz <<END
terra ($version) unstable; urgency=medium

  * Release $VERSION.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

# dpkg-shlibdeps wants a source package's control file; its contents do not matter.
cd "$out"
printf 'Source: terra\n\nPackage: terra\nArchitecture: any\n' >debian/control
depends=$(dpkg-shlibdeps -O root/usr/bin/terra | sed -n 's/^shlibs:Depends=//p')
cat >"$root/DEBIAN/control" <<END
Package: terra
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f1)
Depends: $depends
Section: text
Priority: optional
Description: summarize documents with a sparse transformer, and watch it choose
 terra runs a Terraformer on the CPU: a reversible encoder-decoder in which a
 small controller picks one unit out of every block of a feed-forward layer.
 .
 It summarizes in pipes, and in the terminal shows the text as it is written
 beside a map of the chosen units. Runs are stored, searched, replayed and
 compared. A small trained model and its dense twin are included.
END
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
dpkg-deb --root-owner-group -z1 --build "$root" "$deb" # weights hardly shrink: the fast level

# The program of the package finds its model wherever the package is unpacked.
rm -rf "$out/unpacked"
dpkg-deb -x "$deb" "$out/unpacked"
cd "$here"
found=$(env -u TERRA_MODEL HOME="$out/none" "$out/unpacked/usr/bin/terra" inspect --json | head -n 1)
case $found in
*"\"path\":\"$out/unpacked/usr/share/terra/models/terra-small\""*) ;;
*) echo "deb.sh: not the package's model: $found" >&2 && exit 1 ;;
esac
rm -r "$out/unpacked"

if command -v lintian >/dev/null 2>&1; then
    lintian --allow-root --fail-on error,warning "$deb"
    echo "lintian: clean"
else
    echo "lintian is not installed: the package was not checked"
fi
echo "$deb"
