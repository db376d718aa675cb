//go:build !linux

package sockets

import "os"

func openToGroup(path string) error { return os.Chmod(path, controlMode) }

func giveSocket(path string, uid, gid int) error { return os.Lchown(path, uid, gid) }
