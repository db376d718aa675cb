//go:build !faults

package durable

import "os"

// Step does nothing: a program that is built with the tag faults can be made to die there, see step_faults.go.
func Step(what, path string) {}

// Write is f.Write, which such a program can be made to die in the middle of.
func Write(f *os.File, b []byte) (int, error) { return f.Write(b) }

func stepping(f *os.File) file { return f }
