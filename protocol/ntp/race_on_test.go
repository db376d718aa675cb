//go:build race

package ntp

const underRace = true // allocations are not what they are in production
