// The test of a component that the guide shows, as it is there.
import 'guide:basket.test.tsx'
