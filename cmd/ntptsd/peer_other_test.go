//go:build !linux

package main

import "errors"

func peer(string) (pid int32, err error) { return 0, errors.ErrUnsupported }

func bound(int32, uint64) error { return errors.ErrUnsupported }
