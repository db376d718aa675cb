// Package packages installs, upgrades, removes and purges the Debian package in a Debian of its own, a chroot in its own
// namespaces, and looks at everything else that "make package" makes. It needs root, and NTPTSD_PACKAGE=1: make package-test.
package packages
