import { serve } from './rpc.js'

serve(self)
