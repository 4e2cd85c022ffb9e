from .qlognehvi import QLogNEHVI as QLogNEHVI, QLogNEHVISettings as QLogNEHVISettings
