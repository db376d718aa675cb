//go:build !race

package timeserver

const raceEnabled = false
